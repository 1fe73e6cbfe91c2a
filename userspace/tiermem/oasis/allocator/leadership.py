"""Which host decides for the pod, and whose decisions are obeyed.

No clock is compared with another host's, and nothing is written by two hosts. A host lives
while its report changes under the looker's eyes at least once a lease. A leader's term is
a round and its host, so no two hosts have the same. A host claims a term, higher than all
it has seen, when the highest one's host is dead and it is itself the lowest that lives;
waits a lease; and decides from then on, until it sees a higher term. A leader that was
stopped for a lease looks again before it writes (`Leadership.may_write`).

What is guaranteed, where all hosts' clocks run at the same rate:

- of a term, one host's tables are obeyed, and a host never goes back to a lower term;
- once a leader has decided anything, no host obeys a row of a lower term: all who looked
  within a lease have seen its claim, who has not throws its look away (`Obedience.obey`);
- when hosts neither stop nor die, one leads: two leases, and a few looks, after the last
  one died.

What is not: that a leader which was stopped between its last look and its write writes
nothing. It may, and nobody obeys. Nor that all hosts obey the same table at the same
moment: a data path must have both ends agree, by the table's term and version. Nor does it
help against a host that lies in its own rows: one that claims to lead does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from tiermem.layer.pool.directory import HOSTS_MAX
from tiermem.oasis.allocator.pod import DeviceId, InstanceId, Loan

LEASE_S = 1.0


def leader_of(term: int) -> int:
    """The only host that may have that term."""
    return term % HOSTS_MAX


def next_term(highest: int, host: int) -> int:
    """A host's term that is higher."""
    return (highest // HOSTS_MAX + 1) * HOSTS_MAX + host


@dataclass(frozen=True, slots=True)
class Table:
    """Who uses what, as the leader of `decided_term` decided, its `version`th table; in a row
    of the host of `term`, which passes it on until it has decided itself."""

    term: int
    decided_term: int = 0
    version: int = 0
    assignments: tuple[tuple[InstanceId, DeviceId], ...] = ()
    loans: tuple[Loan, ...] = ()

    @property
    def age(self) -> tuple[int, int]:
        """The larger, the later it was decided."""
        return self.decided_term, self.version


@dataclass(frozen=True, slots=True)
class Look:
    """What a host read of all rows, between two moments of its own clock.

    beats: the number of each host's newest report. is_resumed: whether it could not look
    just before, maybe for a reason for which others could not say anything either.
    """

    began_s: float
    ended_s: float
    beats: Mapping[int, int]
    tables: Mapping[int, Table]
    is_resumed: bool = False

    @property
    def highest_term(self) -> int:
        """That anybody has claimed, 0: nobody."""
        return max((table.term for table in self.tables.values()), default=0)

    @property
    def newest(self) -> Table:
        """The table that was decided last, whoever passes it on."""
        return max(self.tables.values(), key=lambda one: (one.age, one.term), default=Table(0))


class Standing(Enum):
    """What a host is."""

    FOLLOWING = "following"
    CLAIMING = "claiming"
    LEADING = "leading"


class Leadership:
    """A host's part in it: give `step` each look, and publish what it returns.

    living: the hosts that lived at the last look; table: the last one of this host's term.
    """

    def __init__(self, host: int, lease_s: float = LEASE_S) -> None:
        self._host, self._lease_s = host, lease_s
        self._changed: dict[int, tuple[int, float]] = {}
        self._looked_s: float | None = None
        self._claimed_s: float | None = None
        self.standing = Standing.FOLLOWING
        self.table = Table(0)
        self.living = frozenset({host})

    def step(self, look: Look) -> Table | None:
        """Judge a look; the claim to publish, if any."""
        before_s, self._looked_s = self._looked_s, look.began_s
        was_stopped = before_s is not None and look.ended_s - before_s >= self._lease_s
        if was_stopped or look.is_resumed:
            self._forgive_silence(look)
        self.living = self._living(look)
        if look.highest_term > self.table.term:
            self.standing = Standing.FOLLOWING
        if self.standing is Standing.CLAIMING and not self._is_said(look):
            return self.table
        if self.standing is Standing.CLAIMING:
            self._wait_for_lease(look)
        if self.standing is Standing.FOLLOWING and self._should_claim(look):
            return self._claim(look)
        return None

    def may_write(self, now_s: float) -> bool:
        """Whether it leads, as far as it can know: its last look is younger than a lease."""
        return (
            self.standing is Standing.LEADING
            and self._looked_s is not None
            and now_s - self._looked_s < self._lease_s
        )

    def decide(
        self, assignments: Iterable[tuple[InstanceId, DeviceId]], loans: Iterable[Loan] = ()
    ) -> Table:
        """The leader's next table, to be published while it `may_write`."""
        version = self.table.version + 1 if self.table.decided_term == self.table.term else 1
        self.table = Table(
            self.table.term, self.table.term, version, tuple(assignments), tuple(loans)
        )
        return self.table

    def _forgive_silence(self, look: Look) -> None:
        """This host has not seen who was silent; the dead are still dead."""
        for host in self.living & self._changed.keys():
            self._changed[host] = self._changed[host][0], look.ended_s

    def _living(self, look: Look) -> frozenset[int]:
        living = {self._host}
        for host, beat in look.beats.items():
            known = self._changed.get(host)
            if known is None or known[0] != beat:
                # When it was seen at the latest, for it to be thought alive rather longer.
                self._changed[host] = beat, look.ended_s
                living.add(host)
            elif look.began_s - known[1] < self._lease_s:
                living.add(host)
        return frozenset(living)

    def _should_claim(self, look: Look) -> bool:
        if look.highest_term and leader_of(look.highest_term) == self._host:
            # Of an earlier life: the others take it for the leader's that lives.
            return True
        is_led = look.highest_term and leader_of(look.highest_term) in self.living
        return not is_led and self._host == min(self.living)

    def _claim(self, look: Look) -> Table:
        self.standing = Standing.CLAIMING
        self._claimed_s = None
        highest = max(look.highest_term, self.table.term)
        self.table = replace(look.newest, term=next_term(highest, self._host))
        return self.table

    def _is_said(self, look: Look) -> bool:
        """Whether the claim is there; it is not where it could not be written."""
        mine = look.tables.get(self._host)
        return mine is not None and mine.term == self.table.term

    def _wait_for_lease(self, look: Look) -> None:
        if self._claimed_s is None:
            # Seen in memory by now, so everybody who looks from now on sees it.
            self._claimed_s = look.ended_s
        elif look.began_s - self._claimed_s >= self._lease_s:
            self.standing = Standing.LEADING
            self.table = replace(look.newest, term=self.table.term)


class Obedience:
    """Which table a host acts on. `term`: rows of a lower one are not looked at any more."""

    def __init__(self, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self.term = 0
        self.table = Table(0)

    def obey(self, look: Look, now_s: float) -> Table:
        """The table to act on now: a later one than before, or the same. A look that began
        a lease ago is not believed: there may be a new leader by now that it does not show."""
        if now_s - look.began_s >= self._lease_s or look.highest_term < self.term:
            return self.table
        self.term = look.highest_term
        for table in look.tables.values():
            if table.term == self.term and table.age > self.table.age:
                self.table = table
        return self.table
