"""Plays a load of sessions on an engine, in a closed loop, and notes what became of it.

A session's next turn comes when its user has thought about the answer. The engine is stepped
by this very loop; a turn that comes during a step is handed over when the step ends, and its
time counts from when it came.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiermem.serving.kv.counters import TierName

from bench.serving_clock import Clock, ClockName
from bench.serving_engine import BLOCK_TOKENS, GIVEN
from bench.serving_sessions import Load, Session
from bench.serving_text import Text
from bench.serving_watch import MemoryUse, Totals, Watch

_NAP_S = 0.005
# Turns without an answer so long after the load's end, in its own length, are given up.
_DRAIN = 0.3
_ABORT_S = 10.0


@dataclass(frozen=True)
class Answered:
    """A request. Moments in seconds since the load began; None: it was given up before, at the
    wall_s of `Played`.

    known_tokens: of its prompt, those that its session said before; cached_tokens: those that
    were not computed when it was first admitted; restored_blocks: of them, by the tiers that had
    them."""

    due_s: float
    first_s: float | None
    end_s: float | None
    prompt_tokens: int
    known_tokens: int
    cached_tokens: int
    answer_tokens: int
    restored_blocks: Mapping[TierName, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Played:
    """What came of a load on an engine. requests: all that came, of which those count that came
    within the window, from `begin_s` on for `window_s`; computed_tokens, tiers: within it.

    tiers: the plugin's counters, by "tier event". tokens: of each answer, by session and turn,
    where the engine was free to choose them. cpu_s: of the thread that steps the engine, and of
    the whole process, from the load's begin to its end."""

    engine: str
    rate: float
    begin_s: float
    window_s: float
    wall_s: float
    cpu_s: tuple[float, float]
    requests: Sequence[Answered]
    memory: MemoryUse
    computed_tokens: int
    preemptions: int
    tiers: Mapping[str, float]
    tokens: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def end_s(self) -> float:
        """Of the window."""
        return self.begin_s + self.window_s

    @property
    def came(self) -> list[Answered]:
        """Within the window."""
        return [one for one in self.requests if self.begin_s <= one.due_s < self.end_s]

    @property
    def ended(self) -> list[Answered]:
        """Whose answers ended within the window, whenever they came."""
        return [
            one
            for one in self.requests
            if one.end_s is not None and self.begin_s <= one.end_s <= self.end_s
        ]


def evicted_before(histories: Sequence[int], blocks: int) -> int:
    """Of histories of so many tokens, computed one after the other in a cache that loses what was
    not used for longest: how many of the first are gone in the end. At least so many are."""
    kept = 0
    for place in range(len(histories) - 1, -1, -1):
        if kept >= blocks:
            return place + 1
        kept += histories[place] // BLOCK_TOKENS
    return 0


@dataclass
class _Talk:
    """A session on its way."""

    session: Session
    text: list[int]
    said: int
    turn: int = 0
    due_s: float = 0.0
    first_s: float | None = None
    cached_tokens: int = 0

    @property
    def name(self) -> str:
        return f"{self.session.number}.{self.turn}"


class Player:
    """One load on one engine; `play` once. is_free: its own answers go into the histories, and
    are kept."""

    def __init__(
        self,
        engine: Any,
        name: str,
        load: Load,
        text: Text,
        *,
        clock: ClockName = "wall",
        is_free: bool = False,
    ) -> None:
        self._engine, self._name, self._load, self._text = engine, name, load, text
        self._is_free, self._clock = is_free, Clock(clock)
        self._watch = Watch(engine, self._clock)
        self._due: list[tuple[float, int, _Talk]] = []
        self._ties = itertools.count()
        self._open: dict[str, _Talk] = {}
        self._done: list[Answered] = []
        self._tokens: dict[str, list[int]] = {}
        self._begun_s = 0.0

    def play(self) -> Played:
        """Until all is answered that came before the load's end."""
        for session in self._load.sessions:
            passage = self._text.passage(self._load.seed, session.number, session.tokens)
            self._push(session.start_s, _Talk(session, list(passage), session.history_tokens))
        self._prime()
        self._begun_s = self._clock.now_s()
        begun_cpu_s = time.thread_time(), time.process_time()
        before = after = None
        with self._watch:
            is_going = True
            while is_going:
                if before is None and self._now() >= self._load.warm_s:
                    before = self._watch.totals()
                if after is None and self._now() >= self._load.end_s:
                    after = self._watch.totals()
                is_going = self._go_on()
        wall_s = self._now()
        cpu_s = time.thread_time() - begun_cpu_s[0], time.process_time() - begun_cpu_s[1]
        self._give_up()
        now = self._watch.totals()
        return self._played(before or now, after or now, wall_s, cpu_s)

    def _prime(self) -> None:
        """Compute what was said before the load begins, the next to go on last. In no window.
        Without tiers only what will be there still."""
        from vllm import SamplingParams

        config = self._engine.vllm_config
        if not config.cache_config.enable_prefix_caching:
            return
        talks = [(number, talk) for _, number, talk in sorted(self._due, reverse=True) if talk.said]
        if config.kv_transfer_config is None:
            # One is vLLM's own.
            blocks = config.cache_config.num_gpu_blocks - 1
            talks = talks[evicted_before([talk.said for _, talk in talks], blocks) :]
        for number, talk in talks:
            prompt = {"prompt_token_ids": talk.text[: talk.said]}
            params = SamplingParams(temperature=0, max_tokens=1)
            self._engine.add_request(f"before{number}", prompt, params)
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def _go_on(self) -> bool:
        """One step; whether anything is left to do."""
        now_s = self._now()
        while self._due and self._due[0][0] <= now_s:
            self._ask(heapq.heappop(self._due)[2])
        if self._engine.has_unfinished_requests():
            self._watch.begin(is_counted=self._load.warm_s <= now_s < self._load.end_s)
            outputs = self._engine.step()
            self._watch.end()
            now_s = self._now()
            for output in outputs:
                self._heard(output, now_s)
            return now_s < self._load.end_s * (1 + _DRAIN)
        if not self._due:
            return False
        self._clock.idle(min(_NAP_S, max(0.0, self._due[0][0] - now_s)))
        return True

    def _ask(self, talk: _Talk) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        turn = talk.session.turns[talk.turn]
        end = talk.said + turn.user_tokens
        answer = talk.text[end : end + turn.answer_tokens]
        params = SamplingParams(
            temperature=0,
            max_tokens=turn.answer_tokens,
            ignore_eos=True,
            output_kind=RequestOutputKind.CUMULATIVE,
            extra_args=None if self._is_free else {GIVEN: answer},
        )
        self._open[talk.name] = talk
        prompt = {"prompt_token_ids": talk.text[:end]}
        self._engine.add_request(talk.name, prompt, params)

    def _heard(self, output: Any, now_s: float) -> None:
        talk = self._open[output.request_id.split("-", 1)[0]]
        if talk.first_s is None and output.outputs[0].token_ids:
            talk.first_s, talk.cached_tokens = now_s, int(output.num_cached_tokens or 0)
        if not output.finished:
            return
        turn = talk.session.turns[talk.turn]
        if self._is_free:
            said = self._tokens[talk.name] = list(output.outputs[0].token_ids)
            begin = talk.said + turn.user_tokens
            talk.text[begin : begin + len(said)] = said
        self._close(talk, now_s)
        talk.said += turn.user_tokens + turn.answer_tokens
        talk.turn += 1
        if talk.turn < len(talk.session.turns):
            self._push(now_s + turn.think_s, talk)

    def _close(self, talk: _Talk, end_s: float | None) -> None:
        self._open.pop(talk.name, None)
        turn = talk.session.turns[talk.turn]
        self._done.append(
            Answered(
                talk.due_s,
                talk.first_s,
                end_s,
                talk.said + turn.user_tokens,
                talk.said,
                talk.cached_tokens,
                turn.answer_tokens,
                self._watch.restored_blocks.get(talk.name, {}),
            )
        )

    def _give_up(self) -> None:
        """What has no answer yet, also what came during the last step."""
        if self._open:
            running = self._watch.scheduler.requests
            self._engine.abort_request(list(running), internal=True)
            # What is on its way to one of them comes first.
            deadline_s = self._now() + _ABORT_S
            while running and self._now() < deadline_s:
                self._engine.step()
        for talk in [*self._open.values(), *(talk for _, _, talk in self._due)]:
            self._close(talk, None)

    def _push(self, due_s: float, talk: _Talk) -> None:
        if due_s < self._load.end_s:
            talk.due_s, talk.first_s, talk.cached_tokens = due_s, None, 0
            heapq.heappush(self._due, (due_s, next(self._ties), talk))

    def _now(self) -> float:
        return self._clock.now_s() - self._begun_s

    def _played(
        self, before: Totals, after: Totals, wall_s: float, cpu_s: tuple[float, float]
    ) -> Played:
        load = self._load
        is_fixed = load.rate == 0
        return Played(
            self._name,
            load.rate,
            load.warm_s,
            wall_s if is_fixed else load.end_s - load.warm_s,
            wall_s,
            cpu_s,
            self._done,
            self._watch.use(),
            after.computed_tokens - before.computed_tokens,
            after.preemptions - before.preemptions,
            {name: after.tiers[name] - before.tiers.get(name, 0) for name in after.tiers},
            self._tokens,
        )
