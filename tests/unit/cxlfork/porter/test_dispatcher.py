"""Calls go to idle instances, to new ones while there is memory, or wait their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.dispatcher import Answer, BusyError, Dispatcher
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.instance import FunctionError
from tiermem.errors import TiermemError

MIB = 1 << 20
SIZE = 10 * MIB


class FakeInstance:
    """Takes `event` seconds for a call; strings are ways to fail."""

    def __init__(self, host: FakeHost, pid: int) -> None:
        self._host, self.pid, self.how, self.calls = host, pid, "cold", 0
        self.is_open = True

    async def call(self, event: Any, timeout_s: float) -> Any:
        assert self.is_open
        assert not self._host.busy & {self.pid}
        self._host.busy.add(self.pid)
        try:
            if event == "raise":
                raise FunctionError("ValueError")
            if event == "die":
                raise TiermemError("has ended")
            await asyncio.sleep(event)
        finally:
            self._host.busy.discard(self.pid)
        self.calls += 1
        return self.pid

    def close(self) -> None:
        assert self.is_open
        self.is_open = False
        self._host.running.remove(self.pid)


class FakeHost:
    """Starts instances of SIZE each."""

    def __init__(self) -> None:
        self.started = 0
        self.running: set[int] = set()
        self.busy: set[int] = set()
        self.fails = False

    async def start(self, name: str, policy: Policy) -> FakeInstance:
        await asyncio.sleep(0)
        if self.fails:
            raise TiermemError("cannot be started")
        self.started += 1
        self.running.add(self.started)
        return FakeInstance(self, self.started)

    def local_bytes(self, pid: int) -> int:
        return SIZE

    def expected_bytes(self, name: str, policy: Policy) -> int:
        return SIZE

    async def warmed_up(self, name: str, instance: Any) -> None:
        pass


def make(host: FakeHost, **changes: Any) -> Dispatcher:
    function = {"file": "f.py", "timeout_s": changes.pop("timeout_s", 5.0)}
    values = {"functions": {"f": function, "g": function}, "memory_MiB": 40, **changes}
    return Dispatcher(PorterSettings.model_validate(values), host)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_a_call_goes_to_the_instance_that_answered_last() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host)
        answers = [await dispatcher.call("f", 0) for _ in range(3)]
        assert [one.how for one in answers] == ["cold", "warm", "warm"]
        assert host.started == 1

    run(main())


def test_calls_at_the_same_time_get_instances_of_their_own_while_there_is_memory() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host)
        answers = await asyncio.gather(*(dispatcher.call("f", 0.01) for _ in range(10)))
        assert host.started == 4  # of 10 MiB, in 40
        assert [one.how for one in answers].count("warm") == 6
        assert dispatcher.used_bytes == 4 * SIZE

    run(main())


def test_idle_instances_of_other_functions_make_room() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host)
        await asyncio.gather(*(dispatcher.call("f", 0) for _ in range(4)))
        assert (await dispatcher.call("g", 0)).how == "cold"
        assert len(host.running) == 4

    run(main())


def test_a_busy_function_does_not_shut_another_out() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host, memory_MiB=16)
        busy = [asyncio.create_task(dispatcher.call("f", 0.01)) for _ in range(20)]
        await asyncio.sleep(0.005)
        await dispatcher.call("g", 0)
        assert sum(one.done() for one in busy) < 10
        await asyncio.gather(*busy)

    run(main())


def test_who_may_not_wait_is_told_that_there_is_no_room() -> None:
    async def main() -> None:
        dispatcher = make(FakeHost())
        busy = [asyncio.create_task(dispatcher.call("f", 1)) for _ in range(4)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError, match="no instance is free here"):
            await dispatcher.call("g", 0, may_wait=False)
        await asyncio.gather(*busy)

    run(main())


def test_a_call_that_waited_too_long_is_told_so_and_takes_no_instance_with_it() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host, timeout_s=0.05)
        busy = [asyncio.create_task(dispatcher.call("f", 1)) for _ in range(4)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError, match="no instance was free within"):
            await dispatcher.call("f", 0)
        await asyncio.gather(*busy)
        assert [(await dispatcher.call("f", 0)).how for _ in range(4)] == ["warm"] * 4

    run(main())


def test_one_that_waits_gets_a_new_instance_where_another_died() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host, memory_MiB=16)
        first = asyncio.create_task(dispatcher.call("f", "die"))
        second = asyncio.create_task(dispatcher.call("f", 0))
        with pytest.raises(TiermemError, match="has ended"):
            await first
        assert (await second).how == "cold"
        assert len(host.running) == 1

    run(main())


def test_a_function_that_raises_keeps_its_instance() -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host)
        with pytest.raises(FunctionError):
            await dispatcher.call("f", "raise")
        assert (await dispatcher.call("f", 0)).how == "warm"

    run(main())


def test_a_start_that_fails_takes_no_memory() -> None:
    async def main() -> None:
        host = FakeHost()
        host.fails = True
        dispatcher = make(host)
        with pytest.raises(TiermemError, match="cannot be started"):
            await dispatcher.call("f", 0)
        assert dispatcher.used_bytes == 0

    run(main())


def test_what_is_idle_for_too_long_ends() -> None:
    async def main() -> None:
        host = FakeHost()
        now_s = 0.0
        dispatcher = make(host)
        dispatcher._clock = lambda: now_s
        await dispatcher.call("f", 0)
        now_s = 599.0
        assert dispatcher.end_idle() == 0
        now_s = 601.0
        assert dispatcher.end_idle() == 1
        assert (host.running, dispatcher.used_bytes) == (set(), 0)

    run(main())


def test_an_unknown_function_is_named_with_those_there_are() -> None:
    async def main() -> None:
        with pytest.raises(TiermemError, match=r"'h': is not known here; .* f, g"):
            await make(FakeHost()).call("h", 0)

    run(main())


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("fg"),
            st.one_of(st.floats(0, 0.005), st.sampled_from(["raise", "die"])),
            st.booleans(),
            st.floats(0, 0.003),
        ),
        max_size=30,
    ),
    st.integers(16, 60),
)
def test_whatever_comes_memory_is_kept_and_every_call_is_answered(
    calls: list[tuple[str, Any, bool, float]], memory_mib: int
) -> None:
    async def main() -> None:
        host = FakeHost()
        dispatcher = make(host, memory_MiB=memory_mib)
        most = 0

        async def one(name: str, event: Any, may_wait: bool, after_s: float) -> str:
            nonlocal most
            await asyncio.sleep(after_s)
            try:
                answer = await dispatcher.call(name, event, may_wait=may_wait)
            except TiermemError as error:
                return type(error).__name__
            finally:
                most = max(most, dispatcher.used_bytes)
            assert isinstance(answer, Answer)
            return "answered"

        outcomes = await asyncio.gather(*(one(*each) for each in calls))
        assert most <= max(memory_mib * MIB, SIZE)
        for (_, event, may_wait, _), outcome in zip(calls, outcomes, strict=True):
            wanted = {"raise": "FunctionError", "die": "TiermemError"}.get(event, "answered")
            assert outcome == wanted or (outcome == "BusyError" and not may_wait)
        assert dispatcher.used_bytes == SIZE * len(host.running)
        dispatcher.close()
        assert (host.running, dispatcher.used_bytes) == (set(), 0)

    run(main())
