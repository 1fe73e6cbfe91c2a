"""The area in which the hosts of a pod keep the allocator's state: made by whoever comes first."""

from __future__ import annotations

import contextlib
import time

from tiermem.errors import MissingError, NameTakenError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.allocator.state import PodState, format_state, state_bytes

NAME = "oasis-allocator"
_BEGIN_S = 2.0
_AGAIN_S = 0.02


def open_pod(pool: Pool, host: int, hosts: int) -> tuple[Area, PodState]:
    """Both are to be closed, the state first. MissingError where the pod has another number
    of hosts, or its state is not begun: who made the area died at once. NoSpaceError."""
    deadline_s = time.monotonic() + _BEGIN_S
    while True:
        area = _find_or_make(pool, hosts)
        try:
            return area, _state_of(area, host, hosts)
        except MissingError:
            area.close()
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_AGAIN_S)


def _find_or_make(pool: Pool, hosts: int) -> Area:
    while True:
        with contextlib.suppress(MissingError):
            return pool.open_area(NAME)
        with contextlib.suppress(NameTakenError):
            area = pool.create_area(NAME, state_bytes(hosts))
            format_state(area, hosts)
            return area


def _state_of(area: Area, host: int, hosts: int) -> PodState:
    state = PodState(area, host)
    if state.hosts != hosts:
        state.close()
        raise MissingError(
            f"area {NAME!r}: is of a pod of {state.hosts} hosts, not {hosts}: set hosts = "
            f"{state.hosts}, or stop all daemons and `tiermem pool rm {NAME}`"
        )
    return state
