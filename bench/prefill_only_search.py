"""The longest input that stays within a limit of memory, by trying few of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.prefill_only_contenders import CONTEXT_TOKENS

_TRIES = 14
_NEAR_TOKENS, _NEAR_SHARE = 8, 0.05


@dataclass(frozen=True)
class Longest:
    """tokens: the longest input that stayed within the limit; peaks: bytes by tokens tried."""

    engine: str
    tokens: int
    limit_bytes: int
    peaks: dict[int, int] = field(default_factory=dict)


def search(engine: str, peak: Callable[[int], int], limit_bytes: int) -> Longest:
    """By straight lines through what was measured, to 5% or 8 tokens; never longer than the
    context."""
    peaks: dict[int, int] = {}
    fits, too_long, guess = 0, CONTEXT_TOKENS + 1, 256
    while too_long - fits > _near(fits) and len(peaks) < _TRIES:
        peaks[guess] = peak(guess)
        if peaks[guess] <= limit_bytes:
            fits = guess
        else:
            too_long = guess
        guess = _next_guess(peaks, limit_bytes, fits, too_long)
    return Longest(engine, fits, limit_bytes, peaks)


def _next_guess(peaks: dict[int, int], limit_bytes: int, fits: int, too_long: int) -> int:
    if len(peaks) == 1:
        guess = 2 * fits if fits else too_long // 2
    else:
        near = sorted(peaks, key=lambda tokens: abs(peaks[tokens] - limit_bytes))[:2]
        (x, y), (u, v) = ((tokens, peaks[tokens]) for tokens in near)
        # A little below the line, so that the next one is likely to fit.
        guess = int(0.985 * (x + (limit_bytes - y) * (u - x) / (v - y))) if v != y else 2 * x
    if 0 < guess <= fits:
        # What fits is nearly the longest: where the next does not, it is known.
        return fits + _near(fits)
    middle = (fits + too_long) // 2
    return guess if fits < guess < too_long else min(middle, 4 * max(fits, 64))


def _near(tokens: int) -> int:
    """How much longer an input may be for it not to matter."""
    return max(_NEAR_TOKENS, int(tokens * _NEAR_SHARE))
