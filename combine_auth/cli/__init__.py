"""The commands ``combine audit``, ``client``, ``token``, ``user``, ``login`` and ``logout``, a module each.

Nothing is imported here, so that a command loads only what it needs.
"""
