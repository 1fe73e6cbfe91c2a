"""A configuration is taken as a whole or not at all; a wrong command line is one sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tiermem.native._uapi import lib
from tiermem.testbed.artifacts import plugin_parameters
from tiermem.testbed.pod import build, default_checkout
from tiermem.testbed.progress import Progress

from tests.vm.plugin.conftest import Device, Sweep


def _overlap(config: Any) -> None:
    config.nr_ranges = 2
    config.ranges[1] = config.ranges[0]


def _wrap(config: Any) -> None:
    config.ranges[0].bytes = 2**64 - 4096


def _unknown_tier(config: Any) -> None:
    config.ranges[0].tier = 3


def _too_many(config: Any) -> None:
    config.nr_ranges = 5


def _columns(config: Any) -> None:
    config.hpt.columns = 1000


def _counter(config: Any) -> None:
    config.hwt.counter_bits = 33


def _no_entries(config: Any) -> None:
    config.hpt.entries = 0


SPOILERS = (_overlap, _wrap, _unknown_tier, _too_many, _columns, _counter, _no_entries)


def test_bad_configurations_are_refused_and_the_good_one_stays(device: Device) -> None:
    for spoil in SPOILERS:
        spoil(device.bar.regs.config)
        answer = device.bar.command(lib.TIERMEM_CMD_CONFIGURE)
        assert answer == lib.TIERMEM_HWERR_CONFIG, spoil.__name__
        device.fill_in_config()
    device.sweep(Sweep(1024))
    entries = device.query(lib.TIERMEM_LIST_HPT)
    assert entries, "the old trackers no longer count"
    base, size = device.cxl
    assert all(base <= address < base + size for address, _ in entries)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"llc_ways": "3"}, "llc_bytes must be 64 x llc_ways x a power of two"),
        ({"bar": "/nowhere/bar"}, "cannot map the BAR's file /nowhere/bar"),
    ],
)
def test_a_wrong_option_ends_qemu_with_one_sentence(
    tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    testbed = build(Progress(), default_checkout())
    library = testbed.artifacts.plugin
    assert library is not None
    settings = {"bar": str(tmp_path / "bar")} | plugin_parameters(default_checkout(), {}) | change
    words = [f"{key}={value}" for key, value in settings.items()]
    command = [*testbed.qemu.command, "-M", "none", "-display", "none"]
    command += ["-plugin", ",".join([str(library), *words])]
    done = subprocess.run(
        command,
        env={**os.environ, **testbed.qemu.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"tiermem: {sentence}" in done.stderr
