"""How long a prefill takes, learnt from prefills that were measured.

    seconds = start + each · new + pair · new · (cached + new / 2)

`new` tokens are computed, each of them looks at all before it. None of the three figures is
negative, `start` is at most what 256 tokens take, and they are the best such ones in least
squares. Without that limit a few slow prefills at the beginning would look like a cost of
every prefill, all requests alike, and the order would be none. Older measurements count
less, so that a machine that has become slower is believed within some tens of prefills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

FEATURES = 3
# Of a measurement's weight, how much is left after the next one.
KEPT = 0.98
START_TOKENS_MAX = 256
# Errors count relative to the size of a prefill, or the longest alone would say what short
# ones take; below some tokens all are of one size.
SAME_TOKENS = 64
# How much what is assumed at the start weighs against one measurement.
ASSUMED_WEIGHT = 0.01


@dataclass(frozen=True, slots=True)
class PrefillTime:
    """The figures, in seconds, and the sums that they are fitted to (of the normal equations)."""

    start_s: float
    each_s: float
    pair_s: float
    gram: tuple[float, ...] = (0.0,) * (FEATURES * FEATURES)
    target: tuple[float, ...] = (0.0,) * FEATURES
    measured_count: int = 0

    @classmethod
    def assumed(cls, tokens_per_s: float) -> PrefillTime:
        """Before anything was measured: this many tokens a second, at any length.

        It counts as a little of a measurement, of 1024 tokens.
        """
        blank = cls(0.0, 1 / tokens_per_s, 0.0)
        return replace(
            blank._with([(1024, 0)], 1024 / tokens_per_s, ASSUMED_WEIGHT), measured_count=0
        )

    def seconds(self, new_tokens: int, cached_tokens: int = 0) -> float:
        """What a prefill of `new_tokens` behind `cached_tokens` is expected to take."""
        pairs = new_tokens * (cached_tokens + new_tokens / 2)
        return self.start_s + self.each_s * new_tokens + self.pair_s * pairs

    def measured(self, new_tokens: int, cached_tokens: int, seconds: float) -> PrefillTime:
        """As this, knowing that it took so long. ValueError for what cannot have been."""
        return self.measured_together([(new_tokens, cached_tokens)], seconds)

    def measured_together(self, prefills: Sequence[tuple[int, int]], seconds: float) -> PrefillTime:
        """The same of prefills, new and cached tokens of each, that began once for all."""
        if not 0 <= seconds < float("inf") or any(
            new <= 0 or cached < 0 for new, cached in prefills
        ):
            raise ValueError(
                f"prefills of (new, cached) tokens {list(prefills)} in {seconds} s: "
                "some token of each is new, nothing is negative, and the time is finite"
            )
        fitted = self._with(prefills, seconds, 1.0)
        gram = np.array(fitted.gram).reshape(FEATURES, FEATURES)
        limited, each, pair = _least_squares(gram, np.array(fitted.target))
        return replace(
            fitted, start_s=START_TOKENS_MAX * limited, each_s=limited + each, pair_s=pair
        )

    def _with(
        self, prefills: Sequence[tuple[int, int]], seconds: float, weight: float
    ) -> PrefillTime:
        size = sum(new for new, _ in prefills) + SAME_TOKENS
        row = np.array(_features(prefills)) / size
        gram = KEPT * np.array(self.gram) + weight * np.outer(row, row).reshape(-1)
        target = KEPT * np.array(self.target) + weight * row * seconds / size
        return replace(
            self,
            gram=tuple(gram.tolist()),
            target=tuple(target.tolist()),
            measured_count=self.measured_count + 1,
        )


def _features(prefills: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """What the figures are fitted by: `start` comes only with as much of `each` as limits it."""
    tokens = sum(new for new, _ in prefills)
    pairs = sum(new * (cached + new / 2) for new, cached in prefills)
    return float(tokens + START_TOKENS_MAX), float(tokens), pairs


def _least_squares(gram: np.ndarray, target: np.ndarray) -> list[float]:
    """The best figures that are not negative: with so few, every choice of zeros is tried."""
    best, best_error = [0.0] * FEATURES, 0.0
    scale = np.sqrt(np.diag(gram))
    scaled = gram / np.outer(scale, scale)
    for count in range(1, FEATURES + 1):
        for chosen in combinations(range(FEATURES), count):
            kept = list(chosen)
            part, *_ = np.linalg.lstsq(
                scaled[np.ix_(kept, kept)], target[kept] / scale[kept], rcond=1e-9
            )
            if (part < 0).any():
                continue
            figures = np.zeros(FEATURES)
            figures[kept] = part
            error = float(figures @ scaled @ figures - 2 * figures @ (target / scale))
            if error < best_error - 1e-12:
                best, best_error = (figures / scale).tolist(), error
    return best
