"""Prints the requirements of an extra of setup.py, one per line.

    python deploy/requirements.py all

With it, the Dockerfile installs and caches the dependencies before it copies the code.
"""

from __future__ import annotations

import sys

import setuptools  # noqa: F401 - brings distutils

# isort: split
from distutils.core import run_setup


def main(extra: str) -> None:
    distribution = run_setup("setup.py", stop_after="init")
    requirements = {*distribution.install_requires, *distribution.extras_require[extra]}
    sys.stdout.write("".join(f"{requirement}\n" for requirement in sorted(requirements)))


if __name__ == "__main__":
    main(*sys.argv[1:])
