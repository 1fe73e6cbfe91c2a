"""The C batch loop of move_pages over a simulated kernel: every page gets the truth.

What no test on a real kernel can order up (full nodes, processes that end in
the middle, refusals anywhere) is simulated by simulated_kernel.c; the moves of
real processes are tried in tests/vm/layer.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.layer.placement import MoveResult

ROOT = Path(__file__).resolve().parents[3]
PAGES = 4096
TARGET = 1
ESRCH, ENODEV = 3, 19
MOVES, PINNED, SHARED, BUSY, ABSENT, UNMAPPED = range(6)
STILL = {
    PINNED: MoveResult.REFUSED,
    SHARED: MoveResult.SHARED,
    BUSY: MoveResult.BUSY,
    ABSENT: MoveResult.NOT_PRESENT,
    UNMAPPED: MoveResult.NOT_MAPPED,
}
ENDED = {MoveResult.NO_MEMORY, MoveResult.NOT_TRIED}


class Simulation:
    """The C under test, linked with the simulated kernel."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.node = self._array("sim_node")
        self.behaviour = self._array("sim_behaviour")

    def _array(self, name: str) -> np.ndarray:
        return np.ctypeslib.as_array((ctypes.c_int * PAGES).in_dll(self._library, name))

    def move(
        self,
        pages: np.ndarray,
        target: int = TARGET,
        *,
        shared: bool = False,
        room: int = PAGES,
        alive_calls: int = -1,
    ) -> tuple[int, np.ndarray]:
        """Return status and one result a page."""
        ctypes.c_long.in_dll(self._library, "sim_room").value = room
        ctypes.c_long.in_dll(self._library, "sim_alive_calls").value = alive_calls
        addresses = np.ascontiguousarray(pages, dtype=np.uint64) * np.uint64(4096)
        results = np.full(len(pages), 255, dtype=np.uint8)
        pointer: Any = addresses.ctypes.data_as(ctypes.c_void_p)
        status = self._library.tiermem_move_pages(
            1,
            ctypes.c_size_t(len(pages)),
            pointer,
            target,
            shared,
            results.ctypes.data_as(ctypes.c_void_p),
        )
        return status, results


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    library = tmp_path_factory.mktemp("native") / "simulated.so"
    command = [
        *("cc", "-std=gnu99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"),
        *("-Dsyscall=simulated_syscall", "-include", "unistd.h"),
        *(f"-I{ROOT / folder}" for folder in ("kmod/uapi", "userspace/tiermem/native")),
        str(ROOT / "userspace/tiermem/native/syscalls.c"),
        str(Path(__file__).with_name("simulated_kernel.c")),
        *("-o", str(library)),
    ]
    subprocess.run(command, check=True)
    return Simulation(library)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Up to 1600 pages (four batches) of all kinds, mostly movable, in any order."""
    count = draw(st.integers(1, 1600))
    awkward = draw(st.sampled_from([0.0, 0.002, 0.05, 0.5]))
    there = draw(st.sampled_from([0.0, 0.3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    behaviour = np.where(rng.random(PAGES) < awkward, rng.integers(1, 6, PAGES), MOVES)
    return {
        "behaviour": behaviour,
        "node": np.where(rng.random(PAGES) < there, TARGET, 0),
        "pages": rng.permutation(PAGES)[:count],
        "shared": draw(st.booleans()),
    }


def _set_up(simulation: Simulation, world: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Put the world into the kernel; returns the asked pages' behaviour and node before."""
    simulation.behaviour[:] = world["behaviour"]
    simulation.node[:] = world["node"]
    return world["behaviour"][world["pages"]], world["node"][world["pages"]].copy()


def _expected(behaviour: int, before: int, shared: bool) -> MoveResult:
    if behaviour in (ABSENT, UNMAPPED):
        return STILL[behaviour]
    if before == TARGET:
        return MoveResult.ALREADY_THERE
    if behaviour == MOVES or (behaviour == SHARED and shared):
        return MoveResult.MOVED
    return STILL[behaviour]


@settings(max_examples=50)
@given(world=worlds())
def test_every_page_that_can_move_does_and_every_other_says_why(
    simulation: Simulation, world: dict[str, Any]
) -> None:
    behaviour, before = _set_up(simulation, world)
    status, results = simulation.move(world["pages"], shared=world["shared"])
    assert status == 0
    expected = [
        _expected(kind, node, world["shared"])
        for kind, node in zip(behaviour.tolist(), before.tolist(), strict=True)
    ]
    assert results.tolist() == expected


@settings(max_examples=40)
@given(world=worlds(), room=st.integers(0, 1500))
def test_when_the_node_is_full_moved_still_means_moved(
    simulation: Simulation, world: dict[str, Any], room: int
) -> None:
    behaviour, before = _set_up(simulation, world)
    status, results = simulation.move(world["pages"], shared=world["shared"], room=room)
    after = simulation.node[world["pages"]]
    assert status == 0
    moved = (before != TARGET) & (after == TARGET) & ~np.isin(behaviour, (ABSENT, UNMAPPED))
    assert ((results == MoveResult.MOVED) == moved).all()
    for code, kind, node in zip(results.tolist(), behaviour.tolist(), before.tolist(), strict=True):
        assert code in {_expected(kind, node, world["shared"])} | ENDED
    stayed = np.isin(behaviour, (MOVES,)) & (before != TARGET) & ~moved
    if stayed.any():
        assert int(np.count_nonzero(moved)) == room
        assert MoveResult.NO_MEMORY in results


@settings(max_examples=40)
@given(world=worlds(), alive_calls=st.integers(0, 30))
def test_a_process_that_ends_in_the_middle(
    simulation: Simulation, world: dict[str, Any], alive_calls: int
) -> None:
    behaviour, before = _set_up(simulation, world)
    status, results = simulation.move(world["pages"], alive_calls=alive_calls)
    after = simulation.node[world["pages"]]
    claimed = results == MoveResult.MOVED
    assert (after[claimed] == TARGET).all()
    assert (before[claimed] != TARGET).all()
    if alive_calls < 2:
        assert status == -ESRCH
    if status < 0:
        assert (results == MoveResult.NOT_TRIED).all()
    assert len(behaviour) == len(results)


def test_a_node_that_is_not_there_moves_nothing(simulation: Simulation) -> None:
    simulation.behaviour[:] = MOVES
    simulation.node[:] = 0
    status, results = simulation.move(np.arange(700), target=7)
    assert status == -ENODEV
    assert (results == MoveResult.NOT_TRIED).all()
    assert not simulation.node.any()
