"""Loads: from a trace's file, or in its shape, at the rate that is asked for."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from tiermem.errors import ConfigError

from bench.arrivals import Arrival, burst, load_trace, read_trace, scaled

TRACE = """app,func,end_timestamp,duration
a1,busy,10.5,0.5
a1,rare,70.0,60.0
a2,busy,22.0,2.0
a2,busy,110.0,0.0
"""


def test_a_trace_is_read_by_when_calls_began(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    at = [(one.at_s, one.function) for one in read_trace(file)]
    assert at == [(10.0, "busy"), (10.0, "rare"), (20.0, "busy"), (110.0, "busy")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app,func\na,b\n", "has no column duration, end_timestamp"),
        ("app,func,end_timestamp,duration\na,b,soon,1\n", "is not a trace of invocations"),
        ("app,func,end_timestamp,duration\n", "has no invocations"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_trace(file)
    with pytest.raises(ConfigError, match="No such file"):
        read_trace(tmp_path / "nothing.csv")


def test_without_a_file_there_is_a_trace_of_the_same_shape() -> None:
    """Twenty minutes, few busy functions, calls in clumps; always the same for one seed."""
    trace = load_trace(None)
    assert trace == load_trace(None) != load_trace(None, seed=2)
    assert len(trace) == 199
    assert 1100 < trace[-1].at_s < 1201
    counts = sorted(Counter(one.function for one in trace).values(), reverse=True)
    assert sum(counts[:3]) > len(trace) / 3
    gaps = [later.at_s - one.at_s for one, later in pairwise(trace)]
    assert sum(gap < 0.5 for gap in gaps) > len(trace) / 5


def test_ours_stand_for_the_traces_busiest_for_busiest(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    found = scaled(read_trace(file), ["first", "second"], calls=4, calls_per_s=2)
    assert [one.function for one in found] == ["first", "second", "first", "first"]
    assert [one.at_s for one in found] == pytest.approx([0, 0, 0.2, 2.0])


def test_more_calls_than_the_trace_has_are_the_same_again_later(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    found = scaled(read_trace(file), ["first"], calls=10, calls_per_s=5)
    assert (len(found), found[-1].at_s) == (10, pytest.approx(2.0))
    times = [one.at_s for one in found]
    assert times == sorted(times)
    assert times[4] - times[0] == pytest.approx(times[8] - times[4])


def test_a_burst_is_all_at_once() -> None:
    assert burst(["a", "b"], 3.0, each=2) == [
        Arrival(3.0, "a"),
        Arrival(3.0, "a"),
        Arrival(3.0, "b"),
        Arrival(3.0, "b"),
    ]
