"""A backend's word in a link: a frontend notices that it stops, and that its NIC is down."""

from __future__ import annotations

import os
import select
from pathlib import Path

from tiermem.oasis.net import Frontend, Peer, Watch, make_link

from tests.unit.oasis.net.frames import until
from tests.unit.oasis.net.world import GENERATION, PACE, SIZE, FileMemory, World

SILENCE_MS = 300


def alarm_of(world: World) -> int:
    made = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    world.under.callback(os.close, made)
    return made


def rings(alarm: int, within_s: float = 5.0) -> bool:
    if not select.select([alarm], [], [], within_s)[0]:
        return False
    os.eventfd_read(alarm)
    return True


def test_a_frontend_hears_of_the_nic_and_that_its_backend_is_silent(world: World) -> None:
    path = world.folder / "link"
    path.write_bytes(bytes(SIZE.bytes))
    here, there = FileMemory(path), FileMemory(path)
    make_link(there, SIZE, GENERATION)
    world.backend.add_link(there, GENERATION)
    alarm = alarm_of(world)
    watch = Watch(SILENCE_MS, alarm)
    frontend = world.stack.enter_context(Frontend(here, GENERATION, PACE, watch))
    assert not rings(alarm, within_s=4 * SILENCE_MS / 1000)
    assert frontend.peer is Peer.WELL
    world.backend.set_nic(is_down=True)
    assert rings(alarm)
    assert frontend.peer is Peer.WITHOUT_NIC
    world.backend.set_nic(is_down=False)
    assert rings(alarm)
    assert frontend.peer is Peer.WELL
    world.backend.remove_link(0)
    assert rings(alarm)
    assert frontend.peer is Peer.SILENT


def test_whoever_is_not_told_to_watch_never_takes_its_backend_for_silent(tmp_path: Path) -> None:
    memories = []
    for name in ("watched", "trusted"):
        path = tmp_path / name
        path.write_bytes(bytes(SIZE.bytes))
        memories.append(FileMemory(path))
        make_link(memories[-1], SIZE, GENERATION)
    with (
        Frontend(memories[0], GENERATION, PACE, Watch(SILENCE_MS)) as watching,
        Frontend(memories[1], GENERATION, PACE) as trusting,
    ):
        assert until(lambda: watching.peer is Peer.SILENT)
        assert trusting.peer is Peer.WELL
