"""The area in which the hosts of a pod keep the allocator's state: made by whoever comes first."""

from __future__ import annotations

import contextlib
import time

from tiermem.errors import MissingError, NameTakenError, TiermemError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.allocator.state import PodState, format_state, state_bytes

NAME = "oasis-allocator"
_BEGIN_S = 5.0
_AGAIN_S = 0.02
_TURN_S = 0.1


class AreaState(PodState):
    """With its area, which it closes."""

    trouble = ""

    def __init__(self, area: Area, host: int) -> None:
        super().__init__(area, host)
        self._area = area

    def descriptors(self) -> tuple[int, ...]:
        """None: memory does not say when it changes."""
        return ()

    def close(self) -> None:
        """Do not use it any more; before the pool is closed."""
        super().close()
        self._area.close()


def open_pod(pool: Pool, host: int, hosts: int) -> AreaState:
    """To be closed. TiermemError where the pod has another number of hosts; MissingError where
    its state is not begun: who made the area died at once. NoSpaceError."""
    began_s = time.monotonic()
    # Of hosts that start at once one makes it, and the others need not fight for the name.
    turn_s = began_s + host * _TURN_S
    while True:
        try:
            return _open(pool, host, hosts)
        except MissingError:
            if time.monotonic() > max(began_s, turn_s) + _BEGIN_S:
                raise
        if time.monotonic() >= turn_s:
            _make(pool, hosts)
        time.sleep(_AGAIN_S)


def _make(pool: Pool, hosts: int) -> None:
    with contextlib.suppress(NameTakenError), pool.create_area(NAME, state_bytes(hosts)) as area:
        format_state(area, hosts)


def _open(pool: Pool, host: int, hosts: int) -> AreaState:
    area = pool.open_area(NAME)
    try:
        state = AreaState(area, host)
    except TiermemError:
        area.close()
        raise
    if state.hosts != hosts:
        state.close()
        raise TiermemError(
            f"area {NAME!r}: is of a pod of {state.hosts} hosts, not {hosts}: set hosts = "
            f"{state.hosts}, or stop all daemons and `tiermem pool rm {NAME}`"
        )
    return state
