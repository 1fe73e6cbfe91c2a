"""The limiter: what it grants, and that it never grants more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.m5.hotlist import PAGE_BYTES
from tiermem.m5.rate_limit import RateLimiter

S = 1_000_000_000

steps = st.lists(st.tuples(st.integers(0, 3 * S), st.floats(0, 1)), min_size=1, max_size=60)


@given(steps, st.floats(0.01, 10_000), st.floats(0.01, 2))
def test_no_span_exceeds_burst_plus_rate(
    visits: list[tuple[int, float]],
    limit_MBps: float,  # noqa: N803
    burst_s: float,
) -> None:
    limiter = RateLimiter(limit_MBps, burst_s, now_ns=0)
    now_ns, spent = 0, [(0, 0)]
    for wait_ns, share in visits:
        now_ns += wait_ns
        take = int(limiter.available_pages(now_ns) * share)
        limiter.spend(take)
        spent.append((now_ns, take * PAGE_BYTES))
    burst_bytes = max(limit_MBps * 1e6 * burst_s, PAGE_BYTES)
    for first, (start_ns, _) in enumerate(spent):
        moved = 0
        for time_ns, amount in spent[first:]:
            moved += amount
            allowed = burst_bytes + limit_MBps * 1e6 * (time_ns - start_ns) / S
            assert moved <= allowed * (1 + 1e-9) + 1


@given(st.floats(0.1, 10_000))
def test_a_long_wait_grants_one_burst_and_not_more(limit_MBps: float) -> None:  # noqa: N803
    limiter = RateLimiter(limit_MBps, 0.5, now_ns=0)
    limiter.spend(limiter.available_pages(0))
    burst = max(limit_MBps * 1e6 * 0.5, PAGE_BYTES)
    assert limiter.available_pages(1000 * S) == int(burst // PAGE_BYTES)


def test_a_large_folio_may_overdraw_and_is_paid_back() -> None:
    limiter = RateLimiter(PAGE_BYTES / 1e6, 1.0, now_ns=0)  # a page a second
    limiter.spend(5)
    assert limiter.available_pages(4 * S) == 0
    assert limiter.available_pages(5 * S) == 1


def test_a_clock_that_goes_back_grants_nothing() -> None:
    limiter = RateLimiter(PAGE_BYTES / 1e6, 1.0, now_ns=10 * S)
    limiter.spend(limiter.available_pages(10 * S))
    assert limiter.available_pages(5 * S) == 0
    assert limiter.available_pages(10 * S) == 0
    assert limiter.available_pages(11 * S) == 1


def test_lowering_the_limit_takes_saved_up_tokens_away() -> None:
    limiter = RateLimiter(1000.0, 1.0, now_ns=0)
    limiter.set_limit(PAGE_BYTES / 1e6)
    assert limiter.available_pages(0) == 1
