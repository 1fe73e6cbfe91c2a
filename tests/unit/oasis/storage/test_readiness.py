"""What `tiermem doctor` finds of an SSD of the config."""

from __future__ import annotations

from pathlib import Path

from tiermem.oasis.settings import SsdSettings
from tiermem.oasis.storage.begin_ssd import begin_ssd
from tiermem.oasis.storage.device import open_device
from tiermem.oasis.storage.readiness import ssd_trouble
from tiermem.oasis.storage.slice_table import ALIGN, DATA_AT


def test_an_ssd_that_is_missing_without_a_table_ready_and_lent(tmp_path: Path) -> None:
    path = tmp_path / "ssd"
    ssd = SsdSettings(path=path, iops=1)
    assert "No such file" in ssd_trouble(ssd)
    path.write_bytes(bytes(DATA_AT + ALIGN))
    assert f"tiermem oasis format-ssd {path}" in ssd_trouble(ssd)
    begin_ssd(path, is_forced=False)
    assert ssd_trouble(ssd) == ""
    path.write_bytes(bytes(DATA_AT + ALIGN))
    lent = open_device(path, is_direct=False, lock_timeout_s=0)
    assert ssd_trouble(ssd) == ""
    lent.close()
