"""Options: what is accepted, and what is said of the rest."""

from __future__ import annotations

import pytest
from tiermem.errors import ConfigError
from tiermem.serving.kv.settings import read_settings

MEMORY = {"capacity": "2GiB"}


def test_sizes_are_numbers_or_have_a_unit() -> None:
    found = read_settings(
        {"memory": {"capacity": 4096, "tier": "slowest"}, "ssd": {"path": "/x", "capacity": "1GB"}}
    )
    assert found.memory.capacity == 4096
    assert found.ssd is not None
    assert found.ssd.capacity == 10**9


def test_cxl_memory_is_of_the_slowest_tier_unless_it_says_otherwise() -> None:
    def cxl(**more: object) -> object:
        found = read_settings({"memory": MEMORY, "cxl": {"capacity": 1, **more}}).cxl
        assert found is not None
        return found.tier

    assert cxl() == "slowest"
    assert cxl(tier=1) == 1
    assert cxl(nodes=[3]) is None
    assert cxl(emulated={"bandwidth_Bps": 10**9, "latency_ns": 0}) is None
    assert read_settings({"memory": MEMORY}).cxl is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "memory: is missing"),
        ({"memory": {"capacity": "much"}}, "memory.capacity"),
        ({"memory": {"capacity": 0}}, "memory.capacity = 0"),
        ({"memory": MEMORY, "evict": "lru"}, "did you mean eviction"),
        ({"memory": MEMORY, "eviction": "best"}, "'fifo', 'lru', 'arc' or 'cost'"),
        ({"memory": MEMORY, "ssd": {"path": "kv", "capacity": 5}}, "must be absolute"),
        ({"memory": {**MEMORY, "tier": 0, "nodes": [1]}}, "only one of the two"),
        ({"memory": MEMORY, "cxl": {}}, "cxl.capacity: is missing"),
        ({"memory": MEMORY, "cxl": {"capacity": 1, "tier": 0, "nodes": [1]}}, "cxl: tier and"),
        ({"memory": {**MEMORY, "emulated": {"bandwidth_Bps": 1, "latency_ns": 0}}}, "bandwidth"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match="kv_connector_extra_config") as error:
        read_settings(values)
    assert said in str(error.value)
