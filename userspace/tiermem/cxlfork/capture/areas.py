"""What a process has mapped: /proc/PID/smaps, each mapping as the image calls it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tiermem.cxlfork.capture.facts import PROC, read_link
from tiermem.cxlfork.capture.files import file_record, is_at_its_name
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.records import File, Vma, VmaFlag, VmaKind
from tiermem.errors import KernelError
from tiermem.layer.image_device import MAPPING_NAME
from tiermem.layer.pages.mappings import USER_SPACE_END, read_process_file

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4

_PROTECTION = {"r": PROT_READ, "w": PROT_WRITE, "x": PROT_EXEC}
_FLAGS = {
    "nr": VmaFlag.NO_RESERVE,
    "lo": VmaFlag.LOCKED,
    "nh": VmaFlag.NO_HUGE_PAGES,
    "hg": VmaFlag.HUGE_PAGES,
    "dc": VmaFlag.NOT_FORKED,
    "wf": VmaFlag.WIPED_ON_FORK,
    "dd": VmaFlag.NOT_DUMPED,
}
_KERNELS_OWN = {
    "[vdso]": VmaKind.VDSO,
    "[vvar]": VmaKind.VVAR,
    "[vvar_vclock]": VmaKind.VVAR,
}
# What a restored process could not have back, by the letters of VmFlags.
_REFUSED_FLAGS = {
    "ht": "huge pages of hugetlbfs",
    "io": "a device's memory",
    "pf": "a device's memory",
    "um": "registered with userfaultfd",
    "uw": "registered with userfaultfd",
    "ui": "registered with userfaultfd",
    "ss": "a shadow stack",
    "sl": "sealed by mseal",
    "key": "guarded by a memory protection key",
}
_DROPPABLE = "dp"
"""What the kernel may forget at any time (MAP_DROPPABLE), as states of random generators: a
restored process finds it forgotten, and no two have the same."""


@dataclass(frozen=True, slots=True)
class Area:
    """A mapping with what is needed to find its pages.

    has_pages: some are in memory or swapped out. is_of_image: an image's, of a process
    that was restored. object: of memory that has a file of its own, which is not to be had
    again by name, and whose pages are all taken: its device and inode. object_at: where the
    mapping begins in it.
    """

    vma: Vma
    has_pages: bool
    is_of_image: bool = False
    object: tuple[int, int] | None = None
    object_at: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """One mapping as smaps tells it."""

    start: int
    end: int
    permissions: str
    offset: int
    inode: int
    name: str
    letters: frozenset[str]
    has_pages: bool

    @property
    def is_shared(self) -> bool:
        return self.permissions[3] == "s"

    @property
    def where(self) -> str:
        return f"the mapping at {self.start:#x} ({self.name or 'anonymous'})"


def read_areas(pid: int, refusals: Refusals) -> list[Area]:
    """All mappings of `pid`, by address; those that cannot be taken are refused."""
    entries = _parse(read_process_file(pid, "smaps"))
    areas = [_area(pid, entry, refusals) for entry in entries]
    found = [area for area in areas if area is not None]
    _refuse_aliases(found, refusals)
    return found


def _refuse_aliases(areas: list[Area], refusals: Refusals) -> None:
    """Memory that is seen at two places would be two memories."""
    parts = sorted(
        (area.object, area.object_at, area.object_at + vma.end - vma.start, vma.start)
        for area, vma in ((area, area.vma) for area in areas)
        if area.object is not None and vma.kind is VmaKind.SHARED
    )
    for (one, _, end, _), (other, begin, _, address) in pairwise(parts):
        if one == other and begin < end:
            refusals.add(f"the shared memory at {address:#x} is mapped more than once")


def _area(pid: int, entry: _Entry, refusals: Refusals) -> Area | None:
    if entry.end > USER_SPACE_END:
        return None
    kind = _KERNELS_OWN.get(entry.name)
    if kind is None:
        if entry.name == MAPPING_NAME:
            return Area(_vma(entry, VmaKind.ANONYMOUS), has_pages=True, is_of_image=True)
        refused = [text for letters, text in _REFUSED_FLAGS.items() if letters in entry.letters]
        if refused:
            refusals.add(f"{entry.where} is {refused[0]}")
            return None
        if _DROPPABLE in entry.letters:
            return Area(_vma(entry, VmaKind.ANONYMOUS), has_pages=False)
        # System V shared memory may have the number 0.
        if entry.inode or entry.name.startswith("/"):
            return _file_area(pid, entry, refusals)
        kind = VmaKind.STACK if "gd" in entry.letters else VmaKind.ANONYMOUS
    return Area(_vma(entry, kind), entry.has_pages)


def _file_area(pid: int, entry: _Entry, refusals: Refusals) -> Area | None:
    if entry.name.startswith("/SYSV"):
        refusals.add(f"{entry.where} is System V shared memory")
        return None
    link = f"map_files/{entry.start:x}-{entry.end:x}"
    try:
        found = (PROC / str(pid) / link).stat()
    except OSError as error:
        raise KernelError(f"process {pid}: look at {entry.where}", error.errno or 0) from error
    name = read_link(pid, link)
    if name == "/dev/zero" and not entry.is_shared:
        return Area(_vma(entry, VmaKind.ANONYMOUS), entry.has_pages)
    if is_at_its_name(name, found):
        is_written = entry.is_shared and "w" in entry.permissions
        is_fixed = stat.S_ISREG(found.st_mode) and not is_written
        file = file_record(name, found, is_fixed=is_fixed)
        kind = VmaKind.FILE_SHARED if entry.is_shared else VmaKind.FILE
        return Area(_vma(entry, kind, file), entry.has_pages)
    if not name.startswith("/"):
        refusals.add(f"{entry.where} is of {name}")
        return None
    # Shared anonymous memory, a memfd, a file that is deleted or replaced.
    return Area(
        _vma(entry, VmaKind.SHARED if entry.is_shared else VmaKind.ANONYMOUS),
        has_pages=True,
        object=(found.st_dev, found.st_ino),
        object_at=entry.offset,
    )


def _vma(entry: _Entry, kind: VmaKind, file: File | None = None) -> Vma:
    flags = VmaFlag(0)
    for letters, flag in _FLAGS.items():
        if letters in entry.letters:
            flags |= flag
    protection = sum(_PROTECTION.get(letter, 0) for letter in entry.permissions[:3])
    return Vma(
        start=entry.start,
        end=entry.end,
        protection=protection,
        kind=kind,
        flags=flags,
        file=file,
        file_offset=entry.offset if file else 0,
    )


def _parse(text: str) -> Iterator[_Entry]:
    """A header line as in maps, then `Name: value` lines, VmFlags the last. A letter more than
    the kernel has: `key`."""
    header: list[str] = []
    kilobytes, keys = 0, frozenset[str]()
    for line in text.splitlines():
        first, *rest = line.split(maxsplit=1)
        if not first.endswith(":"):
            header = line.split(maxsplit=5)
            kilobytes, keys = 0, frozenset()
        elif first in ("Rss:", "Swap:"):
            kilobytes += int(rest[0].split()[0])
        elif first == "ProtectionKey:" and int(rest[0]) and not header[1].startswith("--x"):
            # What may only be executed has one by itself, and again when it is mapped anew.
            keys = frozenset({"key"})
        elif first == "VmFlags:":
            letters = keys.union(rest[0].split() if rest else ())
            yield _entry(header, letters, kilobytes > 0)


def _entry(header: list[str], letters: frozenset[str], has_pages: bool) -> _Entry:
    addresses, permissions, offset, _device, inode, *name = header
    start, end = addresses.split("-")
    return _Entry(
        start=int(start, 16),
        end=int(end, 16),
        permissions=permissions,
        offset=int(offset, 16),
        inode=int(inode),
        name=name[0] if name else "",
        letters=letters,
        has_pages=has_pages,
    )


def find_gap(areas: list[Area], size: int) -> int:
    """Free address space, `size` bytes and aligned to that: the middle of the largest gap,
    so that neither heap, stacks nor new mappings grow into it soon."""
    bounds = [_LOWEST_ADDRESS, *(bound for a in areas for bound in (a.vma.start, a.vma.end))]
    gaps = [(b - a, a) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    width, start = max(gaps)
    if width < 3 * size:
        raise KernelError(f"find {size} bytes of free address space", 12)
    return (start + width // 2) // size * size


_LOWEST_ADDRESS = 1 << 16
"""Nothing is mapped below, by vm.mmap_min_addr."""
