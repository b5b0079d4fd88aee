"""What can be wrong with a setting, and the one exception that names everything wrong."""

from collections.abc import Iterable
from dataclasses import dataclass

from combine_core.settings.environment import EVERYWHERE, Environment


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: the variable, what is wrong with it, what to write. Never its value."""

    variable: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable} {self.what}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before it is known whether it stops the start.

    :ivar what: what is wrong, continuing a sentence that begins with the variable
    :ivar remedy: what to write; empty for the remedy that the setting declares
    :ivar refused_in: the environments that it stops; the others log a warning
    """

    what: str
    remedy: str = ""
    refused_in: frozenset[Environment] = EVERYWHERE


class Unusable(ValueError):
    """A text that is not a value of its type, with everything that is wrong with it."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.what for finding in findings))
        self.findings = findings


class ConfigurationEnvironmentError(Exception):
    """The environment is not fit to start in. Says all problems at once, and no secret."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {problem}" for problem in self.problems)])

    @property
    def headline(self) -> str:
        """How many settings there are to mend."""
        count = len({problem.variable for problem in self.problems})
        return f"{count} setting{'s' if count > 1 else ''} to mend before the service can start"

    @property
    def one_line(self) -> str:
        """The same for the log: one line, which contains the word EnvironmentError."""
        numbered = (f"({n}) {problem}" for n, problem in enumerate(self.problems, 1))
        return f"{type(self).__name__}: {self.headline}: {' '.join(numbered)}"
