"""Multi-turn sessions as `bench.serving` plays them: who comes when, and says how much.

A session's number of turns is lognormal with median 3 and mean 7, as ShareGPT's are by the
authors of FlashGen (Mooncake's trace is of one hour and cuts sessions off: 1.6 turns in the
mean). Lengths and pauses are samples of the traces (bench.serving_traces), scaled to a small
model on few processors: all tokens by one factor, so that a session's shape stays, and all
pauses by another, so that their mean is what `steady` is told. A session ends where its next
turn would not fit into the context.

The load at a rate is stationary: at its beginning as many sessions are under way as would be,
had it begun long before, each somewhere in its course and with its history to bring along.
Loads of several rates are nested: a higher one has all sessions of the lower one, at the same
moments, and more. So no load is harder than a higher one by the luck of its draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.serving_traces import Source

MEDIAN_TURNS, MEAN_TURNS = 3.0, 7.0
_SPREAD = math.sqrt(2 * math.log(MEAN_TURNS / MEDIAN_TURNS))


@dataclass(frozen=True)
class Scale:
    """tokens: a factor on what the traces have. Longer turns and answers are cut."""

    context_tokens: int
    tokens: float
    turn_tokens_max: int
    answer_tokens_max: int


@dataclass(frozen=True)
class Turn:
    """What the user adds, how long the answer is, and how long the user thinks after it."""

    user_tokens: int
    answer_tokens: int
    think_s: float


@dataclass(frozen=True)
class Session:
    """number: what its text is made from. history_tokens: what was said before its first turn
    here, which comes at `start_s`."""

    number: int
    start_s: float
    history_tokens: int
    turns: tuple[Turn, ...]

    @property
    def tokens(self) -> int:
        """At its end."""
        return self.history_tokens + sum(one.user_tokens + one.answer_tokens for one in self.turns)


@dataclass(frozen=True)
class Load:
    """What an engine is given. Figures are of requests that come between `warm_s` and `end_s`;
    after that nothing comes. rate: sessions that arrive a second; 0: all at once."""

    rate: float
    warm_s: float
    end_s: float
    seed: int
    sessions: tuple[Session, ...]

    @property
    def tokens(self) -> int:
        """When all was said."""
        return sum(one.tokens for one in self.sessions)

    @property
    def turns_in_window(self) -> int:
        """As if each were answered at once."""
        found = 0
        for session in self.sessions:
            due_s = session.start_s
            for turn in session.turns:
                found += self.warm_s <= due_s < self.end_s
                due_s += turn.think_s
        return found


class Population:
    """Draws sessions, the same for the same seed."""

    def __init__(self, source: Source, scale: Scale, seed: int) -> None:
        self._source, self._scale, self._seed = source, scale, seed
        self._random = np.random.default_rng(seed)
        self._mean_pause_s = float(source.pauses_s.mean())
        self._drawn = 0

    @cached_property
    def mean_turns(self) -> float:
        """Of many sessions of its kind."""
        others = Population(self._source, self._scale, self._seed + 1)
        return sum(len(others.turns(1.0)) for _ in range(_MANY)) / _MANY

    def turns(self, think_s: float) -> list[Turn]:
        """Of a whole session: at least one. think_s: in the mean."""
        scale, random = self._scale, self._random
        wanted = max(1, round(random.lognormal(math.log(MEDIAN_TURNS), _SPREAD)))
        turns: list[Turn] = []
        tokens = 0
        for number in range(wanted):
            lengths = self._source.added if number else self._source.first
            user = self._scaled(lengths, scale.turn_tokens_max)
            answer = self._scaled(self._source.answers, scale.answer_tokens_max)
            tokens += user + answer
            if tokens > scale.context_tokens and turns:
                break
            pause_s = self._sample(self._source.pauses_s) * think_s / self._mean_pause_s
            turns.append(Turn(user, answer, pause_s))
        return turns

    def steady(
        self, rates: Sequence[float], think_s: float, warm_s: float, end_s: float
    ) -> list[Load]:
        """For each rate sessions that arrive by Poisson, `rate` a second, and those that are
        under way at the beginning; nested. think_s: in the mean, between an answer and the next
        turn.

        Short loads are often much heavier or lighter than their rate: of `_DRAWS` those are taken
        whose turns in the window, were each answered at once, are nearest to their mean.
        """
        draws = (self._nested(rates, think_s, warm_s, end_s) for _ in range(_DRAWS))
        return min(draws, key=self._unlikeness)

    def _unlikeness(self, loads: Sequence[Load]) -> float:
        """Of the load that is farthest from what its rate says, by how far such loads are."""
        off = 0.0
        for one in loads:
            wanted = one.rate * self.mean_turns * (one.end_s - one.warm_s)
            off = max(off, abs(one.turns_in_window - wanted) / math.sqrt(max(1.0, wanted)))
        # Two that are as near by the last bit of a rate would be chosen between by that bit.
        return round(off, 6)

    def _nested(
        self, rates: Sequence[float], think_s: float, warm_s: float, end_s: float
    ) -> list[Load]:
        """Each session has a mark below the highest rate, and is in the loads above its mark:
        what is left of a Poisson process so is one."""
        random, highest = self._random, max(rates)
        marked: list[tuple[float, Session]] = []
        self._drawn = 0
        arrival_s = -_LONG_BEFORE * think_s
        while (arrival_s := arrival_s + random.exponential(1 / highest)) < end_s:
            session = self._from(arrival_s, self.turns(think_s))
            if session is not None:
                marked.append((random.random() * highest, session))
        return [
            Load(rate, warm_s, end_s, self._seed, tuple(one for mark, one in marked if mark < rate))
            for rate in rates
        ]

    def at_once(self, sessions: int) -> Load:
        """So many sessions, whole, without pauses: a fixed amount of work."""
        self._drawn = 0
        made = [self._session(0.0, 0, self.turns(think_s=0.0)) for _ in range(sessions)]
        return Load(0.0, 0.0, math.inf, self._seed, tuple(made))

    def at_once_alike(self, sessions: int) -> Load:
        """The same, but of `_DRAWS` the one that is nearest to their mean: about as much work
        whatever the seed."""
        draws = [self.at_once(sessions) for _ in range(_DRAWS)]
        mean = sum(one.tokens for one in draws) / len(draws)
        return min(draws, key=lambda one: abs(one.tokens - mean))

    def _from(self, arrival_s: float, turns: list[Turn]) -> Session | None:
        """What is left of it at time 0. Answers are taken to have come at once before that."""
        history = 0
        for number, turn in enumerate(turns):
            if arrival_s >= 0:
                return self._session(arrival_s, history, turns[number:])
            history += turn.user_tokens + turn.answer_tokens
            arrival_s += turn.think_s
        return None

    def _session(self, start_s: float, history: int, turns: list[Turn]) -> Session:
        self._drawn += 1
        return Session(self._drawn, start_s, history, tuple(turns))

    def _sample(self, values: np.ndarray) -> float:
        return float(values[int(self._random.random() * len(values))])

    def _scaled(self, lengths: np.ndarray, most: int) -> int:
        return int(min(most, max(1, round(self._sample(lengths) * self._scale.tokens))))


# In pauses: of sessions that came earlier hardly any would still be there.
_LONG_BEFORE = 60
_DRAWS = 30
_MANY = 2000
