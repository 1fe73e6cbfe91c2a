"""Options of the schedulers in vLLM's --additional-config."""

from __future__ import annotations

from typing import Any

import pytest
from tiermem.errors import ConfigError
from tiermem.serving.schedulers.options import FlashGenOptions, PrefillOnlyOptions, read_options


def flashgen(additional: Any) -> FlashGenOptions:
    return read_options(additional, "flashgen_sched", FlashGenOptions)


def test_without_any_it_is_the_defaults() -> None:
    for nothing in (None, {}, {"tiermem": None}, {"tiermem": {"kv": {"a": 1}}, "other": 3}):
        assert flashgen(nothing) == FlashGenOptions()


def test_each_scheduler_reads_its_own() -> None:
    both = {"tiermem": {"flashgen_sched": {"window": 3}, "prefill_only_sched": {"fairness": 1}}}
    assert flashgen(both) == FlashGenOptions(window=3)
    assert read_options(both, "prefill_only_sched", PrefillOnlyOptions).fairness == 1


@pytest.mark.parametrize(
    ("additional", "words"),
    [
        ([1], "--additional-config: [1] is not a JSON object"),
        ({"tiermem": 3}, "--additional-config: tiermem: 3 is not a JSON object"),
        ({"tiermem": {"flashgen_sched": "x"}}, "tiermem.flashgen_sched: 'x' is not a JSON object"),
        ({"tiermem": {"flashgen_sched": {"headroom": 1}}}, "headroom"),
        ({"tiermem": {"flashgen_sched": {"window": -1}}}, "window"),
        ({"tiermem": {"flashgen_sched": {"windw": 1}}}, "windw"),
    ],
)
def test_what_is_wrong_is_named(additional: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        flashgen(additional)
    assert words in str(caught.value)
    assert str(caught.value).startswith("--additional-config")


@pytest.mark.parametrize("fairness", [0, -1, float("inf"), float("nan"), "much"])
def test_without_fairness_somebody_would_starve(fairness: Any) -> None:
    with pytest.raises(ConfigError, match="fairness"):
        read_options(
            {"tiermem": {"prefill_only_sched": {"fairness": fairness}}},
            "prefill_only_sched",
            PrefillOnlyOptions,
        )
