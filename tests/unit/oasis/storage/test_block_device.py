"""A block device, as far as it can be had without the kernel's module (tests/vm/oasis has it)."""

from __future__ import annotations

import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.oasis.storage.block_device import BlockDevice, BlockDeviceSettings
from tiermem.oasis.storage.ublk import CONTROL
from tiermem.service.config import validate

from tests.unit.oasis.storage.hosts import DISK_BYTES, Hosts


@pytest.mark.skipif(CONTROL.exists(), reason="the kernel's module is loaded")
def test_without_the_kernels_module_it_says_how_to_get_it(hosts: Hosts) -> None:
    with (
        hosts.link("link") as (ours, _),
        pytest.raises(MissingError, match="modprobe ublk_drv"),
    ):
        BlockDevice(ours, BlockDeviceSettings(bytes=DISK_BYTES))


@pytest.mark.parametrize(
    ("key", "value"), [("bytes", 0), ("slice", 64), ("timeout_s", -1), ("depth", 4)]
)
def test_what_cannot_be_is_named(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=key):
        validate({"bytes": 1, key: value}, BlockDeviceSettings, "test")
