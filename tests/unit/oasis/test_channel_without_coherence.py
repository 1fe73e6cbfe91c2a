"""A channel's own code between hosts whose caches do not know of each other.

No message is lost, doubled, torn or out of order, whatever is evicted, prefetched or
written back when; and each write-back, invalidation and fence is needed: left out,
something of that is seen, or messages come late, or the receiver reads lines twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._channel_model import ffi, lib

ALL_ARRIVED = lib.CHANNEL_ALL_ARRIVED
SIZES = (16, 64)
NOTHING = -1
# A fence that keeps a header behind its ring is missed by one run in a thousand.
STORMS = 20_000


@dataclass(frozen=True)
class Weather:
    """What happens unasked, in 1/1000 of the accesses; see incoherent.h."""

    evict: int = 0
    prefetch: int = 0
    settle: int = 0
    turn: int = 100


QUIET = Weather()
STORMY = Weather(evict=20, prefetch=50, settle=100)
SLOW = Weather(evict=20, prefetch=20, settle=50, turn=10)


def trial(
    slot_bytes: int,
    weather: Weather,
    *,
    messages: int = 3000,
    slots: int = 512,
    seed: int = 1,
    left_out: int = NOTHING,
) -> object:
    """Made by the sender where the seed is even, else by the receiver."""
    made = ffi.new("struct channel_trial *")
    made.messages, made.slots, made.slot_bytes = messages, slots, slot_bytes
    made.batch_max, made.seed, made.left_out, made.maker = 12, seed, left_out, seed % 2
    made.evict, made.prefetch, made.settle = weather.evict, weather.prefetch, weather.settle
    made.turn = weather.turn
    return made


def sites(slot_bytes: int) -> list[tuple[int, str]]:
    """Every write-back, invalidation and fence that such a channel comes by."""
    count = lib.channel_model_prompt(trial(slot_bytes, QUIET)).sites
    number, does = ffi.new("int32_t *"), ffi.new("char const **")
    found = []
    for index in range(count):
        name = ffi.string(lib.channel_model_site(index, number, does)).decode()
        found.append((int(number[0]), f"{name}: {ffi.string(does[0]).decode()}"))
    return found


def outcomes(slot_bytes: int, left_out: int) -> Iterator[int]:
    """Of one trial after the other, the quick ones first."""
    for run in (lib.channel_model_prompt, lib.channel_model_backlog, lib.channel_model_stream):
        yield run(trial(slot_bytes, QUIET, left_out=left_out)).outcome
    for seed in range(STORMS):
        small = trial(slot_bytes, SLOW, messages=48, slots=16, seed=seed, left_out=left_out)
        yield lib.channel_model_stream(small).outcome


@pytest.mark.parametrize("slot_bytes", SIZES)
def test_messages_arrive_once_whole_and_in_order(slot_bytes: int) -> None:
    """`make model` has ten million of each size."""
    messages = int(os.environ.get("TIERMEM_TEST_MESSAGES", "200000"))
    verdict = lib.channel_model_stream(trial(slot_bytes, STORMY, messages=messages))
    assert verdict.outcome == ALL_ARRIVED
    assert verdict.arrived == messages


@settings(max_examples=50)
@given(
    slot_bytes=st.sampled_from(SIZES),
    slots=st.sampled_from([8, 16, 128, 1024]),
    seed=st.integers(min_value=0, max_value=2**63),
    weather=st.builds(
        Weather,
        evict=st.integers(0, 300),
        prefetch=st.integers(0, 300),
        settle=st.integers(0, 500),
        turn=st.integers(1, 500),
    ),
)
def test_they_do_in_any_weather(slot_bytes: int, slots: int, seed: int, weather: Weather) -> None:
    made = trial(slot_bytes, weather, messages=2000, slots=slots, seed=seed)
    assert lib.channel_model_stream(made).outcome == ALL_ARRIVED


@pytest.mark.parametrize("slot_bytes", SIZES)
def test_a_look_finds_some_of_what_was_flushed_before_it(slot_bytes: int) -> None:
    assert lib.channel_model_prompt(trial(slot_bytes, QUIET)).outcome == ALL_ARRIVED


@pytest.mark.parametrize("slot_bytes", SIZES)
def test_no_line_of_a_backlog_is_read_twice(slot_bytes: int) -> None:
    assert lib.channel_model_backlog(trial(slot_bytes, QUIET)).outcome == ALL_ARRIVED


@pytest.mark.parametrize("slot_bytes", SIZES)
def test_each_write_back_invalidation_and_fence_is_needed(slot_bytes: int) -> None:
    found = sites(slot_bytes)
    assert len(found) >= 16
    unmissed = [
        name
        for site, name in found
        if all(outcome == ALL_ARRIVED for outcome in outcomes(slot_bytes, site))
    ]
    assert not unmissed
