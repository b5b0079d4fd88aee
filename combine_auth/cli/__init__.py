"""The commands ``combine audit``, ``client``, ``token``, ``user``, ``login`` and ``logout``.

This module imports nothing, so that a command loads only the modules that it needs.
"""
