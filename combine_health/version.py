"""Defines the version of the distribution. setup.py reads it and `make release` writes it."""

__version__ = "0.1.1.dev0"
