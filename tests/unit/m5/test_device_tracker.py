"""The device tracker: what it tells the device, and that it gives it back, even after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import KernelError
from tiermem.layer.nodes import PhysRange
from tiermem.layer.topology import read_topology
from tiermem.layer.tracker_config import DeviceConfig, ListKind, TierRange
from tiermem.layer.tracker_device import DeviceInfo, DeviceState
from tiermem.m5.layout import Layout, choose_layout
from tiermem.m5.settings import TierSettings, TrackerSettings
from tiermem.m5.trackers import TrackerPlace
from tiermem.m5.trackers.device import DeviceTracker
from tiermem.m5.trackers.found import Found

from tests.unit.m5.trees import make_tree

FOUND = DeviceConfig(0, 1 << 30, (TierRange(0, 1 << 30, 1),), frozenset({ListKind.PAC}))


class FakeDevice:
    """The one device of a pretend host; opening it gives the same one every time."""

    path = Path("/dev/tiermem_hpt0")

    def __init__(self) -> None:
        self.told = FOUND
        self.state = DeviceState.IDLE
        self.is_gone = False

    def __call__(self, path: Path) -> FakeDevice:
        return self

    def info(self) -> DeviceInfo:
        return DeviceInfo(1, self.state, frozenset(ListKind), 1)

    def config(self) -> DeviceConfig:
        if self.is_gone:
            raise KernelError("read the configuration", 19)
        return self.told

    def set_config(self, config: DeviceConfig) -> None:
        self.told = config

    def arm(self) -> None:
        self.state = DeviceState.ARMED

    def disarm(self) -> None:
        self.state = DeviceState.IDLE

    def clear(self, kinds: Any) -> None: ...

    def clock(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice()
    monkeypatch.setattr("tiermem.m5.trackers.device.TrackerDevice", fake)
    return fake


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    tree = make_tree(tmp_path)
    return choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))


def tracker(layout: Layout, found: Found | None = None) -> DeviceTracker:
    return DeviceTracker(
        TrackerPlace(TrackerSettings(), layout, True, True, found=found or Found())
    )


def after_a_kill(found: Found) -> Found:
    """What the next process reads from the state file."""
    return Found(json.loads(json.dumps(found.notes)))


def test_it_gives_back_configuration_and_state(device: FakeDevice, layout: Layout) -> None:
    found = Found()
    watch = tracker(layout, found)
    watch.start()
    assert device.told.hpt.entries == 4096
    assert device.state is DeviceState.ARMED
    watch.stop()
    assert (device.told, device.state) == (FOUND, DeviceState.IDLE)
    assert found.notes == {}


def test_what_was_found_is_noted_before_it_is_changed(device: FakeDevice, layout: Layout) -> None:
    at_that_moment: list[DeviceConfig] = []
    found = Found(remember=lambda: at_that_moment.append(device.told))
    tracker(layout, found).start()
    assert at_that_moment == [FOUND]


def test_after_a_kill_the_next_run_gives_back_what_the_first_found(
    device: FakeDevice, layout: Layout
) -> None:
    found = Found()
    tracker(layout, found).start()
    again = tracker(layout, after_a_kill(found))
    again.start()
    again.stop()
    assert (device.told, device.state) == (FOUND, DeviceState.IDLE)


def test_a_device_that_shows_its_configuration_otherwise_is_known_again(
    device: FakeDevice, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def round_down(config: DeviceConfig) -> None:
        device.told = replace(config, hpt=replace(config.hpt, columns=1024))

    found = Found()
    with monkeypatch.context() as patch:
        patch.setattr(device, "set_config", round_down)
        tracker(layout, found).start()
    again = tracker(layout, after_a_kill(found))
    again.start()
    again.stop()
    assert device.told == FOUND


def test_what_somebody_else_told_it_since_the_kill_is_what_was_found(
    device: FakeDevice, layout: Layout
) -> None:
    found = Found()
    tracker(layout, found).start()
    other = replace(FOUND, track_bytes=1 << 20)
    device.told = other
    again = tracker(layout, after_a_kill(found))
    again.start()
    again.stop()
    assert device.told == other


def test_a_note_that_cannot_be_read_is_none(device: FakeDevice, layout: Layout) -> None:
    watch = tracker(layout, Found({"/dev/tiermem_hpt0": {"config": "?"}}))
    watch.start()
    watch.stop()
    assert device.told == FOUND


def test_the_note_stays_while_the_device_is_gone(device: FakeDevice, layout: Layout) -> None:
    found = Found()
    watch = tracker(layout, found)
    watch.start()
    device.is_gone = True
    watch.stop()
    assert list(found.notes) == ["/dev/tiermem_hpt0"]


def test_slow_nodes_in_any_order_are_tracked_from_the_lowest_address_on(
    device: FakeDevice, layout: Layout
) -> None:
    high, low = PhysRange(8 << 30, 9 << 30), PhysRange(4 << 30, 5 << 30)
    device.told = DeviceConfig(0, 0)
    tracker(replace(layout, slow_ranges=(high, low))).start()
    assert (device.told.track_base, device.told.track_bytes) == (4 << 30, 5 << 30)
