"""Print what an extra of setup.py requires, one requirement in a line.

    python deploy/requirements.py all

So that the image's dependencies can be installed before the code is there, and cached.
"""

from __future__ import annotations

import sys

import setuptools  # noqa: F401 - brings distutils

# isort: split
from distutils.core import run_setup


def main(extra: str) -> None:
    """Print them."""
    distribution = run_setup("setup.py", stop_after="init")
    wanted = {*distribution.install_requires, *distribution.extras_require[extra]}
    sys.stdout.write("".join(f"{requirement}\n" for requirement in sorted(wanted)))


if __name__ == "__main__":
    main(*sys.argv[1:])
