"""The one place where the version stands; setup.py reads it, `make release` writes it."""

__version__ = "0.1.1.dev0"
