"""CUDA's virtual memory calls by the driver's own rules, without a GPU.

What the driver would refuse is refused with its status; what it leaves undefined (a store
where nothing is mapped, or access was not given) fails the test.
"""

from __future__ import annotations

import enum
import itertools
import threading
from types import SimpleNamespace
from typing import Any

GRANULARITY = 2 << 20
Result = tuple[Any, ...]


class CUresult(enum.IntEnum):
    """Those that are needed, with CUDA's numbers."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_INVALID_DEVICE = 101
    CUDA_ERROR_INVALID_CONTEXT = 201


class CUmemAllocationType(enum.IntEnum):
    """As in CUDA."""

    CU_MEM_ALLOCATION_TYPE_PINNED = 1


class CUmemLocationType(enum.IntEnum):
    """As in CUDA."""

    CU_MEM_LOCATION_TYPE_DEVICE = 1


class CUmemAccess_flags(enum.IntEnum):  # noqa: N801 - cuda-python's name
    """As in CUDA."""

    CU_MEM_ACCESS_FLAGS_PROT_READWRITE = 3


class CUmemAllocationGranularity_flags(enum.IntEnum):  # noqa: N801 - cuda-python's name
    """As in CUDA."""

    CU_MEM_ALLOC_GRANULARITY_MINIMUM = 0


OK, INVALID = CUresult.CUDA_SUCCESS, CUresult.CUDA_ERROR_INVALID_VALUE


class FakeCuda:
    """cuda-python's module of driver calls, for one device of `memory_bytes`."""

    CUresult = CUresult
    CUmemAllocationType = CUmemAllocationType
    CUmemLocationType = CUmemLocationType
    CUmemAccess_flags = CUmemAccess_flags
    CUmemAllocationGranularity_flags = CUmemAllocationGranularity_flags

    def __init__(self, memory_bytes: int = 64 * GRANULARITY) -> None:
        self.memory_bytes = memory_bytes
        self.reserved: dict[int, int] = {}
        self.handles: dict[int, bytearray] = {}  # by handle, its first and last byte
        self.sizes: dict[int, int] = {}
        self.released: set[int] = set()
        self.mapped: dict[int, int] = {}  # by address, the handle
        self.accessible: set[int] = set()
        self.calls: list[str] = []
        self.contexts_held = 0
        self.is_busy = False
        self._numbers = itertools.count(0x1000)
        self._thread = threading.local()
        self._is_initialised = False

    def CUmemAllocationProp(self) -> Any:  # noqa: N802
        """Empty, as in cuda-python."""
        return SimpleNamespace(type=None, location=SimpleNamespace(type=None, id=None))

    def CUmemAccessDesc(self) -> Any:  # noqa: N802
        """Empty, as in cuda-python."""
        return SimpleNamespace(flags=None, location=SimpleNamespace(type=None, id=None))

    def cuInit(self, flags: int) -> Result:  # noqa: N802
        self._is_initialised = flags == 0
        return (OK if flags == 0 else INVALID,)

    def cuDeviceGet(self, ordinal: int) -> Result:  # noqa: N802
        if not self._is_initialised:
            return CUresult.CUDA_ERROR_NOT_INITIALIZED, None
        if ordinal != 0:
            return CUresult.CUDA_ERROR_INVALID_DEVICE, None
        return OK, 0

    def cuDevicePrimaryCtxRetain(self, device: int) -> Result:  # noqa: N802
        self.contexts_held += 1
        return OK, f"context of {device}"

    def cuDevicePrimaryCtxRelease(self, _device: int) -> Result:  # noqa: N802
        assert self.contexts_held > 0
        self.contexts_held -= 1
        return (OK,)

    def cuCtxSetCurrent(self, context: str) -> Result:  # noqa: N802
        self._thread.context = context
        return (OK,)

    def cuCtxSynchronize(self) -> Result:  # noqa: N802
        self.is_busy = False
        return (self._context(),)

    def cuMemGetAllocationGranularity(self, properties: Any, _kind: int) -> Result:  # noqa: N802
        return self._properties(properties), GRANULARITY

    def cuMemAddressReserve(  # noqa: N802
        self, size: int, alignment: int, address: int, flags: int
    ) -> Result:
        status = self._context()
        if size % GRANULARITY or alignment & (alignment - 1) or address or flags or not size:
            status = INVALID
        if status != OK:
            return status, None
        at = 1 << 40
        while any(at < start + length for start, length in self.reserved.items()):
            at += 1 << 40
        self.reserved[at] = size
        return OK, at

    def cuMemCreate(self, size: int, properties: Any, flags: int) -> Result:  # noqa: N802
        status = self._context() or self._properties(properties)
        if status == OK and (size % GRANULARITY or not size or flags):
            status = INVALID
        if status == OK and size + sum(self.sizes.values()) > self.memory_bytes:
            status = CUresult.CUDA_ERROR_OUT_OF_MEMORY
        if status != OK:
            return status, None
        handle = next(self._numbers)
        self.handles[handle] = bytearray(b"\xee\xee")
        self.sizes[handle] = size
        return OK, handle

    def cuMemMap(  # noqa: N802
        self, address: int, size: int, offset: int, handle: int, flags: int
    ) -> Result:
        self.calls.append("map")
        if self._context() != OK:
            return (self._context(),)
        inside = any(
            start <= address and address + size <= start + length
            for start, length in self.reserved.items()
        )
        overlaps = any(
            at < address + size and address < at + self.sizes[held]
            for at, held in self.mapped.items()
        )
        known = handle in self.sizes and handle not in self.released
        whole = known and size == self.sizes[handle] and not (address | size) % GRANULARITY
        if not inside or overlaps or not whole or offset or flags:
            return (INVALID,)
        self.mapped[address] = handle
        return (OK,)

    def cuMemSetAccess(  # noqa: N802
        self, address: int, size: int, access: list[Any], count: int
    ) -> Result:
        self.calls.append("access")
        groups = self._groups(address, size)
        flags = CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
        if groups is None or count != len(access) or any(one.flags != flags for one in access):
            return (INVALID,)
        self.accessible |= set(groups)
        return (self._context(),)

    def cuMemsetD8(self, address: int, value: int, size: int) -> Result:  # noqa: N802
        groups = self._groups(address, size)
        assert groups is not None, "a store where nothing is mapped"
        for group in groups:
            self.store(group, value)
        return (self._context(),)

    def cuMemUnmap(self, address: int, size: int) -> Result:  # noqa: N802
        self.calls.append("unmap")
        assert not self.is_busy, "unmapped under a kernel that may still read it"
        groups = self._groups(address, size)
        if groups is None:
            return (INVALID,)
        for group in groups:
            self._forget(self.mapped.pop(group))
            self.accessible.discard(group)
        return (self._context(),)

    def cuMemRelease(self, handle: int) -> Result:  # noqa: N802
        if handle not in self.sizes or handle in self.released:
            return (INVALID,)
        self.released.add(handle)
        self._forget(handle)
        return (OK,)

    def cuMemAddressFree(self, address: int, size: int) -> Result:  # noqa: N802
        end = address + size
        if self.reserved.get(address) != size or any(address <= at < end for at in self.mapped):
            return (INVALID,)
        del self.reserved[address]
        return (OK,)

    def cuGetErrorString(self, status: CUresult) -> Result:  # noqa: N802
        return OK, status.name.removeprefix("CUDA_ERROR_").lower().replace("_", " ").encode()

    def cuGetErrorName(self, status: CUresult) -> Result:  # noqa: N802
        return OK, status.name.encode()

    def store(self, address: int, value: int) -> None:
        """A kernel's store."""
        self.handles[self._reached(address)][:] = bytes((value, value))

    def load(self, address: int) -> int:
        """A kernel's load."""
        return self.handles[self._reached(address)][0]

    def _reached(self, address: int) -> int:
        group = address - address % GRANULARITY
        assert group in self.mapped, "touched where nothing is mapped"
        assert group in self.accessible, "touched without access"
        return self.mapped[group]

    def _groups(self, address: int, size: int) -> list[int] | None:
        """The mappings that make up a range exactly."""
        groups, at = [], address
        while at < address + size and at in self.mapped:
            groups.append(at)
            at += self.sizes[self.mapped[at]]
        return groups if at == address + size and groups else None

    def _forget(self, handle: int) -> None:
        """Memory is there while it is held or mapped."""
        if handle in self.released and handle not in self.mapped.values():
            del self.handles[handle], self.sizes[handle]

    def _context(self) -> CUresult:
        has = getattr(self._thread, "context", None) is not None
        return OK if has else CUresult.CUDA_ERROR_INVALID_CONTEXT

    def _properties(self, properties: Any) -> CUresult:
        wanted = CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        there = CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        place = properties.location
        right = properties.type == wanted and place.type == there and place.id == 0
        return OK if right else INVALID
