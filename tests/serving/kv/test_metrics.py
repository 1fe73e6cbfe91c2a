"""What vLLM's log lines and /metrics are told of the tiers."""

from __future__ import annotations

from tiermem.serving.kv.vllm_metrics import Fills, TierStats, since

EMULATED = "emulated 30 GB/s 250 ns"


def fills(used_bytes: int) -> Fills:
    sizes: dict[str, int | str] = {"capacity_bytes": 4096, "used_bytes": used_bytes}
    return {
        "memory": {**sizes, "where": "the only tier (nodes 0)", "emulated": ""},
        "cxl": {**sizes, "where": f"{EMULATED} on the only tier", "emulated": EMULATED},
    }


def test_a_log_line_names_what_is_emulated() -> None:
    stats = TierStats({"memory": {"hits": 1}, "cxl": {"hits": 2}}, fills(1024))
    assert stats.reduce() == {
        "memory hits": 1,
        f"cxl ({EMULATED}) hits": 2,
        "memory used_bytes": 1024,
        f"cxl ({EMULATED}) used_bytes": 1024,
    }


def test_counts_of_several_reports_add_up_and_fills_are_the_last() -> None:
    stats = TierStats({"memory": {"hits": 1}}, fills(1024))
    later = {"memory": {"hits": 2, "stored": 3}, "cxl": {"hits": 4}}
    stats.aggregate(TierStats(later, fills(2048)))
    assert stats.data["events"] == {"memory": {"hits": 3, "stored": 3}, "cxl": {"hits": 4}}
    assert stats.data["fills"] == fills(2048)
    assert not stats.is_empty()
    stats.reset()
    assert stats.is_empty()


def test_a_report_has_what_grew() -> None:
    before = {"memory": {"hits": 1, "stored": 2}}
    now = {"memory": {"hits": 4, "stored": 2}, "ssd": {"stored": 1}}
    assert since(now, before) == {"memory": {"hits": 3}, "ssd": {"stored": 1}}
    assert since(now, now) == {}
