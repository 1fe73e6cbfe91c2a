"""Who answers a call: an idle instance, a new one, another host, or whoever is free next.

Everything runs in one event loop. How instances are started, and how much memory they
take, is handed in (`Starter`), so that this can be tested without either.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.functions import FunctionSettings, PorterSettings
from tiermem.cxlfork.porter.instance import FunctionError
from tiermem.cxlfork.porter.keep_alive import Idle, to_end
from tiermem.cxlfork.porter.tiering import PolicyChooser
from tiermem.errors import TiermemError


class Callee(Protocol):
    """An instance, as far as this module is concerned (instance.py)."""

    pid: int
    how: str
    calls: int

    async def call(self, event: Any, timeout_s: float) -> Any:
        """The function's result."""

    def close(self) -> None:
        """End it."""


class Starter(Protocol):
    """Where instances come from."""

    async def start(self, name: str, policy: Policy) -> Callee:
        """A new one: restored where there is an image, else started cold."""

    def local_bytes(self, pid: int) -> int:
        """The local memory that one takes."""

    def expected_bytes(self, name: str, policy: Policy) -> int:
        """What a new one is expected to take."""

    async def warmed_up(self, name: str, instance: Callee) -> None:
        """An instance has answered a call; it waits meanwhile."""


class BusyError(TiermemError):
    """No room here: the caller may ask another host, or wait."""


@dataclass
class Seat:
    """An instance and what the porter knows of it."""

    name: str
    callee: Callee
    local_bytes: int
    idle_since_s: float = 0.0


@dataclass
class Function:
    """A function, its instances that wait, and the calls that wait for one."""

    settings: FunctionSettings
    chooser: PolicyChooser
    idle: deque[Seat] = field(default_factory=deque)
    waiting: deque[asyncio.Future[Seat | None]] = field(default_factory=deque)
    instances: int = 0
    calls: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))


@dataclass(frozen=True)
class Answer:
    """A call's result, and how it came about: how is "warm", "cold" or a policy."""

    result: Any
    how: str
    latency_s: float


class Dispatcher:
    """See the module."""

    def __init__(
        self,
        settings: PorterSettings,
        starter: Starter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._starter = starter
        self._clock = clock
        self.functions = {
            name: Function(one, PolicyChooser(settings.tiering))
            for name, one in settings.functions.items()
        }
        self._seats: set[int] = set()
        self._used_bytes = 0

    @property
    def used_bytes(self) -> int:
        """Local memory of all instances, those being started included."""
        return self._used_bytes

    @property
    def used_share(self) -> float:
        """The same as a share of what is allowed."""
        return self._used_bytes / self.settings.memory_bytes

    def find(self, name: str) -> Function:
        """A function. TiermemError where there is none of that name."""
        if name not in self.functions:
            known = ", ".join(sorted(self.functions)) or "none"
            raise TiermemError(f"function {name!r}: is not known here; those that are: {known}")
        return self.functions[name]

    async def call(self, name: str, event: Any, *, may_wait: bool = True) -> Answer:
        """Answer one call. BusyError where there is no room for it, or (not `may_wait`)
        no instance at once; TiermemError where the function failed."""
        function = self.find(name)
        began_s = self._clock()
        seat, how = await self._seat(name, function, may_wait)
        try:
            result = await seat.callee.call(event, function.settings.timeout_s)
        except FunctionError:
            self._free(seat)
            raise
        except BaseException:
            # It died or hangs; or the caller is gone, and nobody reads its answer.
            self._drop(seat)
            raise
        latency_s = self._clock() - began_s
        self._note(function, latency_s)
        await self._starter.warmed_up(name, seat.callee)
        self._free(seat)
        return Answer(result, how, latency_s)

    async def _seat(self, name: str, function: Function, may_wait: bool) -> tuple[Seat, str]:
        deadline_s = asyncio.get_running_loop().time() + function.settings.timeout_s
        is_first = True
        while True:
            if function.idle:
                return function.idle.pop(), "warm"
            if function.instances < function.settings.instances_max and self._make_room(name):
                return await self._start(name, function)
            if not may_wait:
                raise BusyError(f"function {name!r}: no instance is free here")
            if is_first and len(function.waiting) >= self.settings.queue_max:
                raise BusyError(f"function {name!r}: {len(function.waiting)} calls wait already")
            seat = await self._wait(name, function, deadline_s, is_first=is_first)
            if seat is not None:
                return seat, "warm"
            is_first = False

    async def _wait(
        self, name: str, function: Function, deadline_s: float, *, is_first: bool
    ) -> Seat | None:
        """An instance that became free; None: there may be room for a new one by now."""
        future: asyncio.Future[Seat | None] = asyncio.get_running_loop().create_future()
        if is_first:
            function.waiting.append(future)
        else:
            function.waiting.appendleft(future)
        try:
            async with asyncio.timeout_at(deadline_s):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled() and (seat := future.result()):
                self._free(seat)  # it came in the very moment in which nobody waited any more
            if not isinstance(error, TimeoutError):
                raise
            raise BusyError(
                f"function {name!r}: no instance was free within {function.settings.timeout_s:g} s"
            ) from None

    def _make_room(self, name: str) -> bool:
        """Whether one more fits, idle ones of other functions ended where that helps."""
        function = self.functions[name]
        needed = self._starter.expected_bytes(name, function.chooser.policy)
        limit = self.settings.memory_bytes
        idle = sorted(
            (seat for one in self.functions.values() for seat in one.idle),
            key=lambda seat: seat.idle_since_s,
        )
        active = self._used_bytes - sum(seat.local_bytes for seat in idle)
        # A function that is larger than all of it may still run alone.
        if active and active + needed > limit:
            return False
        for seat in idle:
            if self._used_bytes + needed <= limit:
                break
            self.functions[seat.name].idle.remove(seat)
            self._drop(seat)
        return True

    async def _start(self, name: str, function: Function) -> tuple[Seat, str]:
        policy = function.chooser.policy
        expected = self._starter.expected_bytes(name, policy)
        function.instances += 1
        self._used_bytes += expected
        try:
            callee = await self._starter.start(name, policy)
        except BaseException:
            function.instances -= 1
            self._used_bytes -= expected
            raise
        function.starts[callee.how] = function.starts.get(callee.how, 0) + 1
        return Seat(name, callee, expected), callee.how

    def _note(self, function: Function, latency_s: float) -> None:
        function.calls += 1
        function.latencies_s.append(latency_s)
        met = latency_s * 1e3 <= function.settings.objective_ms
        function.chooser.note(met, self.used_share)

    def _free(self, seat: Seat) -> None:
        """To the next call that waits, or to the idle ones.

        A function of which nothing runs comes first: a busy one would never let it in.
        """
        self._weigh(seat)
        function = self.functions[seat.name]
        shut_out = any(one.waiting and one.instances == 0 for one in self.functions.values())
        if shut_out or not self._wake(function, seat):
            seat.idle_since_s = self._clock()
            function.idle.append(seat)
            self._tell_of_room()

    def _tell_of_room(self) -> None:
        """To each function's first call that waits, those of which nothing runs first."""
        for function in sorted(self.functions.values(), key=lambda one: one.instances):
            self._wake(function, None)

    def _wake(self, function: Function, seat: Seat | None) -> bool:
        """Hand an instance, or the news that there may be room, to the call that waits longest."""
        while function.waiting:
            future = function.waiting.popleft()
            if not future.done():
                future.set_result(seat)
                return True
        return False

    def _weigh(self, seat: Seat) -> None:
        found = self._starter.local_bytes(seat.callee.pid)
        self._used_bytes += found - seat.local_bytes
        seat.local_bytes = found

    def _drop(self, seat: Seat) -> None:
        seat.callee.close()
        self._used_bytes -= seat.local_bytes
        self.functions[seat.name].instances -= 1
        self._tell_of_room()

    def end_idle(self) -> int:
        """End instances that were idle for longer than their window; how many."""
        now_s = self._clock()
        seats = [seat for one in self.functions.values() for seat in one.idle]
        idle = [
            Idle(key, now_s - seat.idle_since_s, seat.local_bytes) for key, seat in enumerate(seats)
        ]
        gone = to_end(idle, self._used_bytes, self.settings.memory_bytes, self.settings.keep_alive)
        for key in gone:
            self.functions[seats[key].name].idle.remove(seats[key])
            self._drop(seats[key])
        return len(gone)

    def close(self) -> None:
        """End all that are idle; those that answer a call end with it."""
        for function in self.functions.values():
            while function.idle:
                self._drop(function.idle.pop())
