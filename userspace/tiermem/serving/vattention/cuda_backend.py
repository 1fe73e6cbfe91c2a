"""The backend on a GPU: CUDA's virtual memory calls.

Addresses are reserved once; memory is made in page groups, mapped, and kept for the next
mapping when it is unmapped. CUDA's driver maps in its own granularity, 2 MiB on the GPUs of
today; smaller page groups need a driver that was changed to have them, as vAttention's was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiermem.errors import ConfigError
from tiermem.serving.vattention.cuda_driver import Driver, load_driver
from tiermem.serving.vattention.groups import GroupTable
from tiermem.serving.vattention.layout import KvLayout, Run


class CudaBackend:
    """Addresses of device `device` for a layout, with at most `memory_bytes`. See Backend."""

    def __init__(
        self, layout: KvLayout, memory_bytes: int, *, device: int = 0, module: Any = None
    ) -> None:
        """MissingError without cuda-python, ConfigError for groups that the driver has not."""
        self._driver = Driver(module or load_driver())
        self._names = self._driver.names
        self._group_bytes = layout.group_bytes
        self._table = GroupTable[Any](layout, memory_bytes // layout.group_bytes)
        self._bytes = layout.reserved_bytes
        self._driver.call("cuInit", 0)
        self._device = self._driver.call("cuDeviceGet", device)
        self._context = self._driver.call("cuDevicePrimaryCtxRetain", self._device)
        try:
            self._use_context()
            self._properties = self._describe(device)
            self._access = self._allow(device)
            self._check_granularity()
            self.address = int(
                self._driver.call("cuMemAddressReserve", self._bytes, self._group_bytes, 0, 0)
            )
        except BaseException:
            self._driver.call("cuDevicePrimaryCtxRelease", self._device)
            raise
        self._free: list[Any] = []

    @property
    def memory_bytes(self) -> int:
        """See Backend."""
        return self._table.memory_bytes

    def map(self, runs: Sequence[Run]) -> None:
        """See Backend."""
        groups = self._table.to_map(runs)
        self._use_context()
        done: list[int] = []
        try:
            new = [group for group in groups if self._map_group(group, done)]
            for run in runs:
                self._driver.call(
                    "cuMemSetAccess", self.address + run.offset, run.bytes, [self._access], 1
                )
            self._clear(new)
        except BaseException:
            self._take(done)
            raise

    def unmap(self, runs: Sequence[Run]) -> None:
        """See Backend. Waits for the GPU, which may still read what is to be unmapped."""
        groups = self._table.to_unmap(runs)
        self._use_context()
        self._driver.call("cuCtxSynchronize")
        self._take(groups)

    def close(self) -> None:
        """See Backend. Nobody may use its tensors any more."""
        self._use_context()
        self._driver.call("cuCtxSynchronize")
        self._take(list(self._table.mapped))
        for handle in self._free:
            self._driver.call("cuMemRelease", handle)
        self._free.clear()
        self._driver.call("cuMemAddressFree", self.address, self._bytes)
        self._driver.call("cuDevicePrimaryCtxRelease", self._device)

    def abandon(self) -> None:
        """See Backend: nobody counts a GPU's tensors."""
        self.close()

    def _use_context(self) -> None:
        """Threads have one each; the one that maps ahead begins without."""
        self._driver.call("cuCtxSetCurrent", self._context)

    def _describe(self, device: int) -> Any:
        properties = self._names.CUmemAllocationProp()
        properties.type = self._names.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = self._names.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = device
        return properties

    def _allow(self, device: int) -> Any:
        access = self._names.CUmemAccessDesc()
        access.location.type = self._names.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        access.location.id = device
        access.flags = self._names.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
        return access

    def _check_granularity(self) -> None:
        kinds = self._names.CUmemAllocationGranularity_flags
        least = self._driver.call(
            "cuMemGetAllocationGranularity",
            self._properties,
            kinds.CU_MEM_ALLOC_GRANULARITY_MINIMUM,
        )
        if self._group_bytes % least:
            raise ConfigError(
                f"group_bytes = {self._group_bytes}: this GPU's driver maps memory in multiples "
                f"of {least} bytes"
            )

    def _map_group(self, group: int, done: list[int]) -> bool:
        """Whether its memory is new. `done` takes what is to be undone."""
        is_new = not self._free
        if is_new:
            handle = self._driver.call("cuMemCreate", self._group_bytes, self._properties, 0)
            self._free.append(handle)
        place = self.address + group * self._group_bytes
        self._driver.call("cuMemMap", place, self._group_bytes, 0, self._free[-1], 0)
        self._table.mapped[group] = self._free.pop()
        done.append(group)
        return is_new

    def _clear(self, groups: Sequence[int]) -> None:
        """CUDA's new memory has what somebody left there."""
        for group in groups:
            place = self.address + group * self._group_bytes
            self._driver.call("cuMemsetD8", place, 0, self._group_bytes)
        if groups:
            self._driver.call("cuCtxSynchronize")

    def _take(self, groups: Sequence[int]) -> None:
        for group in groups:
            place = self.address + group * self._group_bytes
            self._driver.call("cuMemUnmap", place, self._group_bytes)
            self._free.append(self._table.mapped.pop(group))
