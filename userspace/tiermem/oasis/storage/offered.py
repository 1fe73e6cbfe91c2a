"""The SSD's host's end of one instance's link: what the instance claims, and is given."""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.errors import NameTakenError, NoSpaceError, TiermemError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.link_areas import LinkName, drop_area, is_current, make_area
from tiermem.oasis.storage.backend import Backend, BackendCounters
from tiermem.oasis.storage.claim import Claim, ClaimRows, Grant, Outcome, Wish, area_bytes
from tiermem.oasis.storage.link import LinkSize, make_link
from tiermem.oasis.storage.slice_table import ALIGN, Owner, SliceTable, State

_SLICE = 0
"""The number in the link of the one slice that it is for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an instance may have: promised_bytes of a new slice, 0: none; and how many slices
    its host may have here."""

    promised_bytes: int
    slices_per_host: int


class OfferedLink:
    """For the SSD's thread, which alone writes the table. serving: whose slice it reaches."""

    def __init__(self, pool: Pool, name: LinkName, size: LinkSize, backend: Backend) -> None:
        """NoSpaceError where the pool has no room for it, or the backend no more links."""
        assert name.instance is not None  # an SSD's link is of one instance
        self.name = name
        self.serving: Owner | None = None
        self._instance = name.instance
        self._pool, self._backend = pool, backend
        self._granted: Grant | None = None
        self._area: Area = make_area(pool, name, area_bytes(size))
        try:
            make_link(self._area, size)
            self._rows = ClaimRows(self._area)
            try:
                self._number = backend.add_link(self._area, {})
            except TiermemError:
                self._rows.close()
                raise
        except TiermemError:
            drop_area(pool, self._area)
            raise

    @property
    def is_current(self) -> bool:
        """Whether the instance's host can find it: it removes one that it cannot go on with."""
        return is_current(self._pool, self._area)

    @property
    def is_settled(self) -> bool:
        """Whether the instance has what it asked for last."""
        return self._granted is not None and self._granted.outcome is Outcome.SERVED

    @property
    def refused(self) -> int:
        """Claims that no honest host makes."""
        return self._rows.refused

    def counters(self) -> BackendCounters:
        """Of its commands."""
        return self._backend.counters(self._number)

    def attend(self, table: SliceTable, terms: Terms) -> None:
        """Do what the instance asks for, as far as it may, and answer."""
        claim = self._rows.claimed()
        if claim is None:
            return
        outcome = self._outcome(table, claim, terms)
        grant = Grant(claim.id, claim.wish, outcome, self._backend.settings.is_write_through)
        if grant != self._granted:
            self._rows.grant(grant)
            self._granted = grant

    def _outcome(self, table: SliceTable, claim: Claim, terms: Terms) -> Outcome:
        owner = Owner(self.name.peer, self._instance, claim.id)
        found = table.find(owner)
        if self.serving is not None and (self.serving != owner or found is None):
            self._stop_serving()
        if claim.wish is Wish.NONE:
            if found is not None:
                self._stop_serving()
                table.free(owner)
            return Outcome.GONE
        if found is None:
            return Outcome.GONE if claim.wish is Wish.ITS else _begin(table, owner, claim, terms)
        if not found.bytes - ALIGN < claim.bytes <= found.bytes:
            return Outcome.WRONG_SIZE
        if found.state is not State.HELD:
            return Outcome.WAIT
        if self.serving is None:
            self._backend.add_slice(self._number, _SLICE, found.blocks)
            self.serving = owner
        return Outcome.SERVED

    def _stop_serving(self) -> None:
        if self.serving is not None:
            self._backend.remove_slice(self._number, _SLICE)
            self.serving = None

    def close(self) -> None:
        """Serve it no more; what was in flight has ended then."""
        self._backend.remove_link(self._number)
        self._rows.close()
        drop_area(self._pool, self._area)


def _begin(table: SliceTable, owner: Owner, claim: Claim, terms: Terms) -> Outcome:
    if not terms.promised_bytes:
        return Outcome.WAIT
    if not 0 < claim.bytes <= terms.promised_bytes:
        return Outcome.WRONG_SIZE
    if sum(one.owner.host == owner.host for one in table.slices) >= terms.slices_per_host:
        return Outcome.TOO_MANY
    try:
        table.begin(owner, claim.bytes)
    except NoSpaceError:
        return Outcome.NO_ROOM
    except NameTakenError:
        return Outcome.GONE
    return Outcome.WAIT
