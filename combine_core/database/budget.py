"""How many database connections the service may come to hold, and whether the server has them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

# What we call ourselves (application_name) begins with this.
OURS = "combine "
HEALTH = "combine health"

# Who may not see more of other users' sessions (no pg_read_all_stats) sees no backend_type.
ROOM = f"""
    SELECT
      current_setting('max_connections')::int,
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0),
      (
        SELECT min(most) FROM (
          SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user AND NOT rolsuper
          UNION ALL SELECT datconnlimit FROM pg_database WHERE datname = current_database()
        ) AS limits (most) WHERE most >= 0
      ),
      count(*) FILTER (WHERE NOT is_ours),
      count(*) FILTER (WHERE is_ours AND application_name = '{HEALTH}')
    FROM (
      SELECT application_name,
        datname = current_database() AND application_name LIKE '{OURS}%' AS is_ours
      FROM pg_stat_activity
      WHERE datname IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    ) AS clients
"""  # noqa: S608 - both are our own words


@dataclass(frozen=True, slots=True)
class Appetite:
    """How many connections one process of each kind may hold at once.

    :ivar web: pool, overflow and the health checks' own
    :ivar probes: these alone
    :ivar worker: pool, overflow and Procrastinate's own
    :ivar works_inside: whether each web process has a worker inside
    """

    web: int
    probes: int
    worker: int
    works_inside: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """The connections that may be needed, and those that there are.

    :ivar web: web processes, whoever asks included
    :ivar workers: worker processes
    :ivar limit: of our role or our database, where there is one
    :ivar others: connections that other clients hold now
    """

    appetite: Appetite
    web: int
    workers: int
    max_connections: int
    reserved: int
    limit: int | None
    others: int

    @classmethod
    def of(
        cls, appetite: Appetite, room: tuple[int, int, int | None, int, int], workers: int
    ) -> Budget:
        """From what `ROOM` answers, and the number of workers that are alive.

        Web processes are counted by the connections of their health checks.
        """
        max_connections, reserved, limit, others, probes = room
        web = max(1, ceil(probes / appetite.probes))
        processes = max(0, workers - web) if appetite.works_inside else max(1, workers)
        return cls(appetite, web, processes, max_connections, reserved, limit, others)

    @property
    def needed(self) -> int:
        """All connections of all processes."""
        return self.web * self._each + self.workers * self.appetite.worker

    @property
    def room(self) -> int:
        """What ordinary users can get."""
        room = self.max_connections - self.reserved
        return room if self.limit is None else min(room, self.limit)

    @property
    def fits(self) -> bool:
        """Whether there is room for all of ours."""
        return self.needed <= self.room

    @property
    def fits_beside_others(self) -> bool:
        """Whether there is, while others hold what they hold now."""
        return self.needed + self.others <= self.max_connections - self.reserved and self.fits

    @property
    def sentence(self) -> str:
        """The sum, for people."""
        parts = [f"{self.web} web x {self._each}"]
        parts += [f"{self.workers} worker x {self.appetite.worker}"] if self.workers else []
        limits = f"max_connections {self.max_connections}, {self.reserved} of them reserved"
        limits += (
            f"; a limit of {self.limit} for our role or database" if self.limit is not None else ""
        )
        return (
            f"All processes together may need {self.needed} connections ({', '.join(parts)});"
            f" the server has {self.room} for them ({limits}). Other clients hold {self.others} now."
        )

    @property
    def _each(self) -> int:
        inside = self.appetite.worker if self.appetite.works_inside else 0
        return self.appetite.web + inside
