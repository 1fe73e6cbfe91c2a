"""An image holds what the process's memory held, and nothing that need not be stored."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import Image, open_image
from tiermem.cxlfork.records import LARGE_PAGES, Vma, VmaFlag, VmaKind
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.targets import Target

ZEROS = bytes(PAGE_BYTES)
NOT_COMPARED = (VmaKind.VVAR, VmaKind.VDSO, VmaKind.FILE_SHARED)
"""The kernel's, or the file's."""

PYTHON = """
import time
import json
kept = [bytes([i % 256]) * 5000 for i in range(2000)]
print("ready", flush=True)
time.sleep(1000)
"""


def differing_pages(image: Image, target: Target) -> list[int]:
    """Addresses of pages that are not in the image as they are in the process."""
    # Kernels may let only a tracer read what the process itself cannot.
    with StoppedProcess(target.pid):
        return _differing_pages(image, target, droppable_mappings(target))


def droppable_mappings(target: Target) -> set[int]:
    """Where mappings begin that the kernel may forget; images do."""
    lines = Path(f"/proc/{target.pid}/smaps").read_text().splitlines()
    found, start = set(), ""
    for line in lines:
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            start = first.partition("-")[0]
        elif first == "VmFlags:" and "dp" in line.split():
            found.add(int(start, 16))
    return found


def _differing_pages(image: Image, target: Target, forgotten: set[int]) -> list[int]:
    wrong = []
    for vma in image.vmas:
        if vma.kind in NOT_COMPARED or vma.start in forgotten:
            continue
        for offset in range(0, vma.end - vma.start, PAGE_BYTES):
            address = vma.start + offset
            try:
                page = target.memory(address, PAGE_BYTES)
            except OSError:  # beyond the end of its file
                assert image.page(address) is None
                continue
            if (image.page(address) or without_it(vma, offset)) != page:
                wrong.append(address)
    return wrong


def without_it(vma: Vma, offset: int) -> bytes:
    """What a restored process finds where the image has no page."""
    if vma.file is None:
        return ZEROS
    with Path(vma.file.name).open("rb") as file:
        file.seek(vma.file_offset + offset)
        return file.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")


def test_every_page_of_a_c_program(pool: Pool, start: Starter, tmp_path: Path) -> None:
    target = start("memory", tmp_path / "file")
    target.line()
    target.freeze()
    checkpoint(pool, target.pid, "it")
    with open_image(pool, "it") as image:
        assert differing_pages(image, target) == []


def test_every_page_of_cpython(pool: Pool, start: Starter) -> None:
    target = start(PYTHON, python=True)
    target.line()
    target.freeze()
    checkpoint(pool, target.pid, "it")
    with open_image(pool, "it") as image:
        assert differing_pages(image, target) == []
        assert image.stored_pages * PAGE_BYTES > 2000 * 5000


class TestKindsOfMemory:
    """programs/memory.c prints where each lies."""

    @pytest.fixture
    def target(self, start: Starter, tmp_path: Path) -> Target:
        return start("memory", tmp_path / "file")

    @pytest.fixture
    def places(self, target: Target) -> dict[str, int]:
        names = (
            "anonymous",
            "none",
            "shared",
            "file",
            "large",
            "zero",
            "hidden",
            "gone",
            "droppable",
        )
        return dict(
            zip(
                names,
                (int(word.replace("(nil)", "0"), 16) for word in target.line().split()),
                strict=True,
            )
        )

    @pytest.fixture
    def image(self, pool: Pool, target: Target, places: dict[str, int]) -> Image:
        target.freeze()
        checkpoint(pool, target.pid, "it")
        image = open_image(pool, "it")
        yield image
        image.close()
        gc.collect()

    def vma(self, image: Image, address: int) -> Vma:
        return next(vma for vma in image.vmas if vma.start <= address < vma.end)

    def stored(self, image: Image, address: int, pages: int = 16) -> list[int]:
        """Which pages from there on the image has."""
        return [i for i in range(pages) if image.page(address + i * PAGE_BYTES)]

    def test_anonymous(self, image: Image, places: dict[str, int]) -> None:
        assert self.stored(image, places["anonymous"]) == list(range(8))
        assert self.vma(image, places["anonymous"]).kind is VmaKind.ANONYMOUS

    def test_without_any_right(self, image: Image, places: dict[str, int]) -> None:
        assert self.stored(image, places["none"]) == list(range(16))
        assert self.vma(image, places["none"]).protection == 0

    def test_shared_anonymous(self, image: Image, places: dict[str, int]) -> None:
        assert self.stored(image, places["shared"]) == [1, 2, 3]
        assert self.vma(image, places["shared"]).kind is VmaKind.SHARED

    def test_shared_that_it_has_not_mapped_in_just_now(
        self, image: Image, places: dict[str, int]
    ) -> None:
        assert self.stored(image, places["hidden"]) == [7, 8]

    def test_all_of_a_file_that_is_gone(self, image: Image, places: dict[str, int]) -> None:
        assert self.stored(image, places["gone"]) == [0, 1, 2, 3]
        assert self.vma(image, places["gone"]).kind is VmaKind.ANONYMOUS
        changed = image.page(places["gone"] + PAGE_BYTES)
        assert changed is not None
        assert changed[:2] == b"xf"

    def test_of_a_file_only_what_was_changed(
        self, image: Image, places: dict[str, int], tmp_path: Path
    ) -> None:
        assert self.stored(image, places["file"]) == [5, 6]
        # Zeros, too, are not what the file has there.
        assert image.page(places["file"] + 6 * PAGE_BYTES) == ZEROS
        vma = self.vma(image, places["file"])
        assert vma.kind is VmaKind.FILE
        assert vma.file is not None
        found = (tmp_path / "file").stat()
        assert (vma.file.name, vma.file.bytes) == (str(tmp_path / "file"), found.st_size)
        assert (vma.file.modified_ns, vma.file.is_fixed) == (found.st_mtime_ns, True)

    def test_pages_of_zeros_are_left_out(self, image: Image, places: dict[str, int]) -> None:
        assert self.stored(image, places["zero"]) == []
        assert VmaFlag.NOT_FORKED in self.vma(image, places["zero"]).flags

    def test_what_the_kernel_may_forget_is_forgotten(
        self, image: Image, places: dict[str, int]
    ) -> None:
        if places["droppable"] == 0:
            pytest.skip("this kernel has no droppable memory")
        assert self.stored(image, places["droppable"]) == []
        assert self.vma(image, places["droppable"]).kind is VmaKind.ANONYMOUS

    def test_whole_windows_lie_as_their_addresses_do(
        self, image: Image, places: dict[str, int]
    ) -> None:
        first = -(-places["large"] // PAGE_BYTES // LARGE_PAGES) * LARGE_PAGES
        runs = image.runs
        whole = runs[(runs[:, 0] <= first) & (runs[:, 0] + runs[:, 1] >= first + LARGE_PAGES)]
        assert len(whole) == 1
        assert (whole[0][2] + first - whole[0][0]) % LARGE_PAGES == 0

    def test_stack_vdso_and_gap(self, image: Image) -> None:
        kinds = [vma.kind for vma in image.vmas]
        assert kinds.count(VmaKind.STACK) == 1
        assert kinds.count(VmaKind.VDSO) == 1
        gap = image.header.gap_at
        near = [v for v in image.vmas if v.start < gap + (64 << 20) and v.end > gap - (64 << 20)]
        assert near == []

    def test_without_the_kernel_module_nothing_is_known_of_accesses(self, image: Image) -> None:
        assert (image.header.has_accessed, len(image.bits("accessed"))) == (0, 0)
        assert np.count_nonzero(image.bits("dirty")) == 0
