"""Runs of pages that are cut and moved, against the same pages one by one."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cffi
import pytest
from tiermem.native.build import NATIVE
from tiermem.native.cdef import declarations

PAGES = 200
ROUNDS = 300

Pages = dict[int, int]
"""Where a page of data is: by its page in the process."""


class Library:
    """restorer/page_runs.c, on this host's C library."""

    def __init__(self, folder: Path) -> None:
        restorer = NATIVE / "restorer"
        self.ffi = cffi.FFI()
        text = (restorer / "page_runs.h").read_text().replace('#include "../fork_image.h"', "")
        plain = folder / "page_runs.h"
        plain.write_text(text.replace("#include <stdint.h>", ""))
        self.ffi.cdef(declarations([NATIVE / "fork_image.h", plain]))
        library = folder / "page_runs.so"
        sources = [restorer / "page_runs.c", restorer / "bytes.c"]
        command = ["cc", "-std=gnu99", "-O1", "-fPIC", "-shared", "-ffreestanding"]
        subprocess.run([*command, *sources, "-o", library], check=True)
        self.lib: Any = self.ffi.dlopen(str(library))

    def pages(self, runs: Any) -> Pages:
        """All of them; they are sorted and disjoint."""
        found: Pages = {}
        last = 0
        for i in range(runs.count):
            run = runs.runs[i]
            assert run.pages > 0
            assert run.first_page >= last
            last = run.first_page + run.pages
            found |= {run.first_page + k: run.data_page + k for k in range(run.pages)}
        return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def runs(library: Library) -> Iterator[Any]:
    """Pages 10 to 49, 60, and 100 to 119."""
    begin = [(10, 40, 1000), (60, 1, 2000), (100, 20, 3000)]
    made = library.ffi.new("struct page_runs *")
    given = library.ffi.new("struct image_run[]", begin)
    assert library.lib.page_runs_copy(made, given, len(begin)) == 0
    yield made
    library.lib.page_runs_free(made)


def test_a_page_is_found_in_its_run(library: Library, runs: Any) -> None:
    found = library.pages(runs)
    for page in range(PAGES):
        run = library.lib.page_runs_find(runs, page)
        data = run.data_page + page - run.first_page if run else None
        assert data == found.get(page)


@pytest.mark.parametrize("seed", range(5))
def test_cuts_and_moves(library: Library, runs: Any, seed: int) -> None:
    chance = random.Random(seed)
    pages = library.pages(runs)
    for turn in range(ROUNDS):
        first, count = chance.randrange(PAGES), chance.randrange(1, 12)
        cut = range(first, first + count)
        if turn % 3 == 0:
            assert library.lib.page_runs_cut(runs, first, count) == 0
            pages = {page: data for page, data in pages.items() if page not in cut}
            # So that there is always something left to move.
            pages = _restored(library, runs, pages, chance)
        else:
            to = chance.randrange(PAGES)
            assert library.lib.page_runs_move(runs, first, to, count) == 0
            moved = {page - first + to: pages[page] for page in cut if page in pages}
            gone = {*cut, *range(to, to + count)}
            pages = {page: data for page, data in pages.items() if page not in gone} | moved
        assert library.pages(runs) == pages


def _restored(library: Library, runs: Any, pages: Pages, chance: random.Random) -> Pages:
    if len(pages) > 20:
        return pages
    first = chance.randrange(PAGES)
    pages |= {first + k: 9000 + k for k in range(30)}
    given = library.ffi.new("struct image_run[]", [(p, 1, d) for p, d in sorted(pages.items())])
    library.lib.page_runs_free(runs)
    assert library.lib.page_runs_copy(runs, given, len(given)) == 0
    return pages
