"""Defines the error for invalid settings, in its own module because it imports most of Pyramid."""

from collections.abc import Iterable

from pyramid.exceptions import ConfigurationError


class HealthEnvironmentError(ConfigurationError):  # type: ignore[misc]  # Pyramid has no types
    """Some settings of combine_health are invalid; the message lists all of them."""

    @classmethod
    def of(cls, problems: Iterable[str]) -> "HealthEnvironmentError":
        return cls("combine_health cannot start:\n  " + "\n  ".join(problems))
