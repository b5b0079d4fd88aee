"""Runs the command line of `combine_health.cli` for ``python -m combine_health``."""

import sys

from combine_health.cli import main

if __name__ == "__main__":
    sys.exit(main())
