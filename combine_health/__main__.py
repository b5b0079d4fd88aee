"""``python -m combine_health``: see `combine_health.cli`."""

import sys

from combine_health.cli import main

if __name__ == "__main__":
    sys.exit(main())
