"""Defines the error for invalid settings, in its own module because it imports most of Pyramid."""

from pyramid.exceptions import ConfigurationError


class HealthEnvironmentError(ConfigurationError):  # type: ignore[misc]  # Pyramid has no types
    """Some settings of combine_health are invalid; the message names all of them."""
