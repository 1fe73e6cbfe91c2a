"""What can be judged of the image module's wrapper without the kernel module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiermem.errors import MissingError
from tiermem.layer import image_device
from tiermem.layer.image_device import ImageDevice, ImageSpot
from tiermem.native._uapi import ffi, lib


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageDevice]:
    """Over a plain file; ioctls go to the functions below."""
    node = tmp_path / "node"
    node.touch()
    with ImageDevice(node) as opened:
        monkeypatch.setattr(opened, "ioctl", _ioctl)
        yield opened


def _ioctl(_action: str, request: int, argument: Any) -> None:
    if request == lib.TIERMEM_IMAGE_PAGES:
        asked = ffi.from_buffer("struct tiermem_image_pages *", argument)
        assert (asked.pid, asked.start, asked.pages) == (7, 0x1000, 70)
        for pointer, word in ((asked.held_ptr, 1), (asked.accessed_ptr, 2), (asked.dirty_ptr, 3)):
            words = ffi.cast("uint64_t *", pointer)
            words[0], words[1] = word, 1 << 5
    else:
        opened = ffi.from_buffer("struct tiermem_image_open *", argument)
        assert (opened.pool_start, opened.pool_bytes) == (1 << 32, 1 << 30)
        assert (opened.image_at, opened.image_bytes) == (4096, 8192)
        assert (opened.runs_at, opened.nr_runs) == (512, 3)
        opened.fd = 40 + opened.flags


def test_the_lowest_bit_of_a_word_is_its_first_page(device: ImageDevice) -> None:
    pages = device.pages(7, 0x1000, 70)
    assert len(pages.held) == len(pages.accessed) == len(pages.dirty) == 70
    np.testing.assert_array_equal(np.flatnonzero(pages.held), [0, 69])
    np.testing.assert_array_equal(np.flatnonzero(pages.accessed), [1, 69])
    np.testing.assert_array_equal(np.flatnonzero(pages.dirty), [0, 1, 69])


def test_an_image_is_opened_for_one_of_two_policies(device: ImageDevice) -> None:
    spot = ImageSpot(pool_start=1 << 32, pool_bytes=1 << 30, image_at=4096, image_bytes=8192)
    assert device.open_image(spot, runs_at=512, runs=3) == 40
    copying = device.open_image(spot, runs_at=512, runs=3, copy_on_read=True)
    assert copying == 40 + lib.TIERMEM_IMAGE_COPY_ON_READ


def test_a_missing_node_says_which_module_to_load(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="tiermem_image is not loaded"):
        image_device.ImageDevice(tmp_path / "tiermem_image")
