"""Put memory on a node: policies for what is allocated, moves for what is there.

    bind(address, bytes, nodes=[1])                     # mbind
    moves = move_pages(pid, addresses, node=0)          # move_pages
    moves.count(MoveResult.MOVED)

`move_pages` gives every page one result and calls a page moved only when it was
seen on another node before and on the target after. Built on `native._syscalls`.
"""

from __future__ import annotations

import enum
import errno
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.errors import KernelError, MissingError, ProcessGoneError, TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.pagemap import U64

try:
    from tiermem.native._syscalls import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _syscalls is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

NODES_MAX = 1024
"""The most nodes that a Linux kernel can be built for (CONFIG_NODES_SHIFT 10)."""


class MoveResult(enum.IntEnum):
    """What became of one page; numbers are those of enum tiermem_place_result."""

    MOVED = lib.TIERMEM_PLACE_MOVED
    ALREADY_THERE = lib.TIERMEM_PLACE_ALREADY_THERE
    NOT_MAPPED = lib.TIERMEM_PLACE_NOT_MAPPED
    BUSY = lib.TIERMEM_PLACE_BUSY
    NO_MEMORY = lib.TIERMEM_PLACE_NO_MEMORY
    REFUSED = lib.TIERMEM_PLACE_REFUSED
    DUPLICATE = lib.TIERMEM_PLACE_DUPLICATE
    NOT_TRIED = lib.TIERMEM_PLACE_NOT_TRIED
    NOT_PRESENT = lib.TIERMEM_PLACE_NOT_PRESENT
    SHARED = lib.TIERMEM_PLACE_SHARED

    @property
    def meaning(self) -> str:
        """In words, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    MoveResult.MOVED: "moved to the target node",
    MoveResult.ALREADY_THERE: "was on the target node before",
    MoveResult.NOT_MAPPED: "nothing is mapped at the address, or it is the zero page",
    MoveResult.BUSY: "is isolated or under I/O just now; may succeed later",
    MoveResult.NO_MEMORY: "the target node has no room",
    MoveResult.REFUSED: "did not move: pinned, or of a kind that cannot move",
    MoveResult.DUPLICATE: "the same page as an earlier one of this call",
    MoveResult.NOT_TRIED: "the call ended before it: the process is gone or the node full",
    MoveResult.NOT_PRESENT: "mapped, but not in memory: never touched, or swapped out",
    MoveResult.SHARED: "other processes map it too, and shared pages were not asked for",
}


class Policy(enum.IntEnum):
    """Memory policies of set_mempolicy(2)."""

    DEFAULT = lib.TIERMEM_POLICY_DEFAULT
    PREFERRED = lib.TIERMEM_POLICY_PREFERRED
    BIND = lib.TIERMEM_POLICY_BIND
    INTERLEAVE = lib.TIERMEM_POLICY_INTERLEAVE
    LOCAL = lib.TIERMEM_POLICY_LOCAL
    PREFERRED_MANY = lib.TIERMEM_POLICY_PREFERRED_MANY
    WEIGHTED_INTERLEAVE = lib.TIERMEM_POLICY_WEIGHTED_INTERLEAVE


@dataclass(frozen=True)
class Moves:
    """`results[i]` (a MoveResult) says what became of the page at `addresses[i]`."""

    addresses: U64
    results: npt.NDArray[np.uint8]

    @property
    def moved_pages(self) -> int:
        """How many are on the target node now and were not before."""
        return self.count(MoveResult.MOVED)

    def count(self, result: MoveResult) -> int:
        """How many pages had this result."""
        return int(np.count_nonzero(self.results == result))

    def counts(self) -> dict[MoveResult, int]:
        """Pages by result, without those of which there are none."""
        return {MoveResult(code): n for code, n in sorted(Counter(self.results.tolist()).items())}


def move_pages(pid: int, addresses: U64, node: int, include_shared: bool = False) -> Moves:
    """Move the pages of process `pid` (0: this one) at `addresses` to `node`.

    Addresses may point anywhere into a page. `include_shared` also moves pages
    that other processes map (CAP_SYS_NICE). Raises ProcessGoneError, or
    KernelError (no such node, no right to that process) before anything moved.
    """
    pages = _page_addresses(addresses)
    results = np.full(len(pages), MoveResult.DUPLICATE, dtype=np.uint8)
    _, first = np.unique(pages, return_index=True)
    first.sort()
    unique = np.ascontiguousarray(pages[first])
    codes = np.empty(len(unique), dtype=np.uint8)
    status = lib.tiermem_move_pages(
        pid, len(unique), _u64(unique), node, include_shared, ffi.from_buffer("uint8_t[]", codes)
    )
    _check_process(status, pid, f"process {pid}: move {len(unique)} pages to node {node}")
    results[first] = codes
    return Moves(pages, results)


def query_pages(pid: int, addresses: U64) -> npt.NDArray[np.int32]:
    """Where each page of `pid` at `addresses` lies: its node, or a negative errno.

    -ENOENT: mapped but not in memory; -EFAULT: not mapped, or the zero page.
    """
    pages = _page_addresses(addresses)
    nodes = np.empty(len(pages), dtype=np.int32)
    status = lib.tiermem_query_pages(
        pid, len(pages), _u64(pages), ffi.from_buffer("int32_t[]", nodes)
    )
    _check_process(status, pid, f"process {pid}: ask where {len(pages)} pages lie")
    return nodes


def bind(
    address: int,
    length_bytes: int,
    nodes: Collection[int],
    policy: Policy = Policy.BIND,
    *,
    move: bool = False,
    strict: bool = False,
) -> None:
    """Set the policy of this process' memory from `address` on (mbind).

    `move` also moves pages that are there already; with `strict`, pages that
    could not be moved (or, without `move`, lie elsewhere) raise KernelError EIO.
    """
    mask = _node_mask(nodes)
    flags = (lib.TIERMEM_MBIND_MOVE if move else 0) | (lib.TIERMEM_MBIND_STRICT if strict else 0)
    status = lib.tiermem_mbind(
        address, length_bytes, policy, _u64(mask), _words(mask, nodes), flags
    )
    where = f"{length_bytes} bytes at {address:#x}"
    _check(status, f"set policy {policy.name.lower()} of nodes {sorted(nodes)} for {where}")


def set_policy(policy: Policy, nodes: Collection[int] = ()) -> None:
    """Set the calling thread's policy for memory that it allocates from now on."""
    mask = _node_mask(nodes)
    status = lib.tiermem_set_mempolicy(policy, _u64(mask), _words(mask, nodes))
    _check(status, f"set policy {policy.name.lower()} of nodes {sorted(nodes)}")


def current_policy(address: int = 0) -> tuple[Policy, tuple[int, ...]]:
    """The calling thread's policy and nodes, or those of the mapping at `address`."""
    mask = np.zeros(NODES_MAX // 64, dtype=np.uint64)
    policy = ffi.new("int *")
    _check(
        lib.tiermem_get_mempolicy(policy, _u64(mask), len(mask), address),
        f"ask for the policy at {address:#x}" if address else "ask for the policy",
    )
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    # The upper bits of the policy are mode flags (static nodes, …).
    return Policy(policy[0] & 0xFF), tuple(np.flatnonzero(bits).tolist())


def migrate_process(pid: int, from_nodes: Collection[int], to_nodes: Collection[int]) -> int:
    """Move all of a process' pages from some nodes to others; how many stayed behind."""
    left = ffi.new("uint64_t *")
    source, target = _node_mask(from_nodes), _node_mask(to_nodes)
    status = lib.tiermem_migrate_process(pid, _u64(source), _u64(target), len(source), left)
    nodes = f"{sorted(from_nodes)} to {sorted(to_nodes)}"
    _check_process(status, pid, f"process {pid}: migrate from nodes {nodes}")
    return int(left[0])


def _page_addresses(addresses: U64) -> U64:
    pages = np.asarray(addresses, dtype=np.uint64)
    if pages.ndim != 1:
        raise TiermemError(f"addresses must be one row, not an array of shape {pages.shape}")
    return pages & ~np.uint64(PAGE_BYTES - 1)


def _node_mask(nodes: Collection[int]) -> U64:
    mask = np.zeros(NODES_MAX // 64, dtype=np.uint64)
    for node in nodes:
        if not 0 <= node < NODES_MAX:
            raise TiermemError(f"node {node}: is not a node number (0 to {NODES_MAX - 1})")
        mask[node // 64] |= np.uint64(1 << (node % 64))
    return mask


def _words(mask: U64, nodes: Collection[int]) -> int:
    """Policies without nodes refuse even an empty mask."""
    return len(mask) if nodes else 0


def _u64(values: U64) -> object:
    return ffi.from_buffer("uint64_t[]", values)


def _check(status: int, action: str) -> None:
    if status < 0:
        raise KernelError(action, -status)


def _check_process(status: int, pid: int, action: str) -> None:
    if -status == errno.ESRCH:
        raise ProcessGoneError(pid)
    _check(status, action)
