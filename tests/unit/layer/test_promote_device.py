"""What can be judged of the promoter's wrapper without the kernel module."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import KernelError, MissingError, NoRightError
from tiermem.layer import device_file
from tiermem.layer.promote_device import BATCH_MAX, PromoteCode, PromoteDevice, PromoteResult
from tiermem.native._uapi import lib


def test_there_is_a_code_and_a_meaning_for_every_result_of_the_header() -> None:
    assert len(PromoteCode) == lib.TIERMEM_PROMOTE_RESULTS
    assert sorted(PromoteCode) == list(range(lib.TIERMEM_PROMOTE_RESULTS))
    assert len({code.meaning for code in PromoteCode}) == len(PromoteCode)


def test_a_result_counts_its_codes() -> None:
    codes = np.array([PromoteCode.MOVED, PromoteCode.BUSY, PromoteCode.MOVED], dtype=np.uint8)
    result = PromoteResult(codes, moved_pages=513, isolate_ns=1, migrate_ns=2)
    assert result.count(PromoteCode.MOVED) == 2
    assert result.count(PromoteCode.NO_MEMORY) == 0


def test_a_missing_node_says_which_module_to_load(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="tiermem_promote is not loaded"):
        PromoteDevice(tmp_path / "tiermem_promote")


def test_a_node_that_may_not_be_opened_is_a_missing_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(device_file.os, "open", refuse)
    with pytest.raises(NoRightError, match=r"tiermem_promote cannot be opened: Permission") as seen:
        PromoteDevice(tmp_path / "tiermem_promote")
    assert seen.value.exit_code == 3


def test_a_failed_call_names_the_pages_and_the_node(tmp_path: Path) -> None:
    impostor = tmp_path / "tiermem_promote"
    impostor.touch()
    with PromoteDevice(impostor) as device:
        with pytest.raises(KernelError, match=r"move 3 pages to node 1: .*ENOTTY"):
            device.promote(np.arange(3, dtype=np.uint64), 1)
        with pytest.raises(KernelError, match=r"move 2 ranges of 12 pages to node 0: .*ENOTTY"):
            device.ranges([(100, 10), (400, 2)], 0)


def test_ranges_beyond_any_limit_are_left_to_the_kernel_to_refuse(tmp_path: Path) -> None:
    impostor = tmp_path / "tiermem_promote"
    impostor.touch()
    huge = [(0, 2**63), (0, 2**63)]
    with PromoteDevice(impostor) as device, pytest.raises(KernelError, match=f"{2**64} pages"):
        device.ranges(huge, 0)
    assert BATCH_MAX == 65536
