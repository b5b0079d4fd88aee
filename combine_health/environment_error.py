"""The error of wrong settings. It has a module of its own, because errors of Pyramid load most of Pyramid."""

from pyramid.exceptions import ConfigurationError


class HealthEnvironmentError(ConfigurationError):  # type: ignore[misc]  # Pyramid has no types
    """Some settings of combine_health are invalid; the message names all of them."""
