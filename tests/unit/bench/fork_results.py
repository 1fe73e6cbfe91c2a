"""What `bench.fork` finds, of which a test names what it is about."""

from __future__ import annotations

from bench.fork_catalog import FUNCTION
from bench.guest.fork_spec import ForkResult, ForkSpec, Memory, Sharing, Start

MIB = 1 << 20


def a_start(method: str, restore_ms: float = 1.0, own_mib: float = 10.0, **named: object) -> Start:
    """A start whose first call takes a millisecond more, and warm ones two."""
    memory = Memory(own_bytes=int(own_mib * MIB), file_bytes=4 * MIB, table_bytes=65536)
    told = {
        "first_call_ns": int((restore_ms + 1) * 1e6),
        "warm_ns": [2_000_000],
        "guest_ns": 2_000_000,
        "phases_ns": {},
    } | named
    return Start(
        method=method,
        restore_ns=int(restore_ms * 1e6),
        after_first=memory,
        after_warm=memory,
        **told,  # type: ignore[arg-type]
    )


def a_result(
    *starts: Start,
    footprint_mib: int = 24,
    function: str = FUNCTION,
    sharing: tuple[Sharing, ...] = (),
) -> ForkResult:
    """All that was found of one function at one footprint."""
    spec = ForkSpec(function, footprint_mib, repeats=1, warm_calls=1, warm_up=16, clones=4)
    return ForkResult(
        spec=spec,
        kernel_release="7.3",
        starts=list(starts),
        sharing=list(sharing),
        image_bytes=footprint_mib * MIB,
        images_ns={"cxlfork": 1},
        criu_bytes=footprint_mib * MIB,
    )
