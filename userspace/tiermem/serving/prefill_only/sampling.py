"""The one token of a request, and how likely it and others were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Sampling:
    """temperature: 0 takes the likeliest. top_p: of the likeliest tokens, as many as have this
    share of probability together. bias: added to logits. allowed: others cannot be chosen."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    bias: Mapping[int, float] = field(default_factory=dict)
    allowed: Sequence[int] | None = None


def log_probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Natural logarithms; as the model has them, before anything of `Sampling`."""
    shifted = logits.astype(np.float64) - logits.max()
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def choose_token(logits: npt.NDArray[np.float32], options: Sampling) -> int:
    """One of the tokens. Of equals the first. The same seed and logits give the same token."""
    scores = logits.astype(np.float64)
    for token, bias in options.bias.items():
        scores[token] += bias
    if options.allowed is not None:
        barred = np.ones(len(scores), dtype=bool)
        barred[list(options.allowed)] = False
        scores[barred] = -np.inf
    if options.temperature == 0:
        return int(scores.argmax())
    shares = np.exp((scores - scores.max()) / options.temperature)
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    before = np.cumsum(shares[order]) - shares[order]
    kept = order[before < options.top_p]
    random = np.random.default_rng(options.seed)
    return int(random.choice(kept, p=shares[kept] / shares[kept].sum()))


def likeliest(logs: npt.NDArray[np.float64], count: int) -> list[int]:
    """So many tokens, the likeliest first; of equals the first."""
    return [int(one) for one in np.argsort(-logs, kind="stable")[:count]]
