"""Writes constraints.txt with the newest versions that setup.py allows, for every supported Python.

    python deploy/lock.py python3.11 python3.12 python3.13

It resolves the requirements with pip of each interpreter, and merges the results. A version that applies
only to some interpreters gets an environment marker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Every version that `make` and the Dockerfile install. Written by `make lock`; do not edit.
"""


def resolve(interpreter: str) -> tuple[str, dict[str, str]]:
    """Return the Python version of ``interpreter``, and the versions to install by normalised name."""
    # setuptools 80.9 and later make Pyramid print a warning at each start.
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([interpreter, "-m", "venv", scratch], check=True)
        python = str(Path(scratch) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
        report = subprocess.run(
            [
                *(python, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
                *("--report", "-", f"{ROOT}[test]", "setuptools>=77,<80.9", "wheel"),
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        resolved = json.loads(report)
    pins = {item["metadata"]["name"]: item["metadata"]["version"] for item in resolved["install"]}
    pins.pop("pyramid-combine", None)
    version = ".".join(resolved["environment"]["python_version"].split(".")[:2])
    return version, {name.lower().replace("_", "-"): pin for name, pin in pins.items()}


def main(interpreters: list[str]) -> None:
    resolved = dict(resolve(interpreter) for interpreter in interpreters)
    lines = []
    for name in sorted({name for pins in resolved.values() for name in pins}):
        versions: dict[str, list[str]] = {}
        for python, pins in resolved.items():
            if name in pins:
                versions.setdefault(pins[name], []).append(python)
        for version, pythons in versions.items():
            if len(pythons) == len(resolved):
                lines.append(f"{name}=={version}")
            else:
                marker = " or ".join(f'python_version == "{python}"' for python in pythons)
                lines.append(f"{name}=={version} ; {marker}")
    (ROOT / "constraints.txt").write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
