"""The parts of `bench.serving`: what each measures, and what it makes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tiermem.errors import TiermemError

from bench import prefill_only as prefill_part
from bench import prefill_only_tables as prefill_tables
from bench import serving_figures, serving_tables
from bench import vattention as vattention_part
from bench.benchmark_parts import Advance, Found
from bench.serving_configurations import ALL, CXL, NAMES, RECOMPUTE, TIERS, VLLM, Size, engines
from bench.serving_engine import Engine
from bench.serving_figures import Point
from bench.serving_play import Played
from bench.serving_sessions import Population
from bench.serving_sizes import COMPARED, COMPARED_SCALE, sizes
from bench.serving_traces import Source
from bench.serving_worker import Playing, Workers


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    loads: turns a second, over what vLLM answers that computes all again. names: the
    configurations; swept: those that are measured at all loads, the others at `other_load`, or
    not at all. Each load is for `warm_turns` and then `window_turns`, as long as so many turns
    take that are computed again, and users think for `think_turns` in the mean: so a machine
    that is twice as fast is given the same sessions in half the time. rounds: where all fits, of
    `fitting_sessions`. wrong_sessions: whose tokens are compared, of wrong_names.
    """

    is_quick: bool
    loads: tuple[float, ...]
    names: tuple[str, ...]
    swept: tuple[str, ...]
    other_load: float | None
    warm_turns: float
    window_turns: float
    rounds: int
    fitting_sessions: int
    wrong_sessions: int
    wrong_names: tuple[str, ...] = NAMES
    think_turns: int = 20
    seed: int = 1
    threads: int = max(1, (os.cpu_count() or 2) - 1)

    @property
    def played_names(self) -> tuple[str, ...]:
        """Those of `names` that are measured at any load, and what says how fast a machine is."""
        if self.other_load in self.loads:
            return self.names
        return tuple(one for one in self.names if one in self.swept or one == RECOMPUTE)


@dataclass(frozen=True)
class Setting:
    """Where the numbers of sessions come from, what engines are in, and where SSD tiers lie."""

    source: Source
    workers: Workers
    ssd: Path


# Whose answers say how fast a machine is.
_SPEED_SESSIONS = 6


def sessions(amount: Amount, setting: Setting, advance: Advance) -> Found:
    """The sweep over rates, at which each configuration has its turn."""
    size = sizes(is_quick=amount.is_quick)
    population = Population(setting.source, size.scale, amount.seed)
    mean_turns = population.mean_turns
    running = _running(setting, size.overflowing, amount.played_names, advance)
    advance("sessions: how fast is this machine")
    answers_per_s = _answers_per_s(running[RECOMPUTE], population)
    turn_s = 1 / answers_per_s
    warm_s = amount.warm_turns * turn_s
    loads = Population(setting.source, size.scale, amount.seed).steady(
        [share * answers_per_s / mean_turns for share in amount.loads],
        amount.think_turns * turn_s,
        warm_s,
        warm_s + amount.window_turns * turn_s,
    )
    played = []
    for share, load in zip(amount.loads, loads, strict=True):
        for name, one in running.items():
            if name in amount.swept or share == amount.other_load:
                advance(f"sessions: load of {share:g} on {name}")
                played.append(one.play(load))
    points = [serving_figures.point_of(one) for one in played]
    figures, failures = _figures(points)
    return Found(
        figures,
        points,
        [
            serving_tables.curves(points, setting.source.name),
            serving_tables.bounds(points, amount.swept),
        ],
        {
            "recomputed_answers_per_s": answers_per_s,
            "mean_turns": mean_turns,
            "turn_s": turn_s,
            "loads": [
                {"load": share, "rate": load.rate, "turns_in_window": load.turns_in_window}
                for share, load in zip(amount.loads, loads, strict=True)
            ],
            **asdict(size),
            "emulated_cxl": CXL,
        },
        failures,
    )


def _figures(points: Sequence[Point]) -> tuple[dict[str, float], list[str]]:
    """And why some cannot be had."""
    figures, failures = serving_figures.latency_figures(points, VLLM, ALL), []
    for name, most_s in serving_figures.BOUNDS_S.items():
        try:
            found = serving_figures.throughputs(points, VLLM, ALL, most_s)
            figures |= {
                f"throughput_over_vllm{name}": found.ratio,
                f"answers_per_s_ours{name}": found.ours_per_s,
                f"answers_per_s_vllm{name}": found.theirs_per_s,
            }
        except TiermemError as error:
            # Whether a machine is fast enough for users who wait is a finding: the table has it.
            if most_s == serving_figures.BOUND_S:
                failures.append(str(error))
    try:
        figures |= serving_figures.memory_figures(points, VLLM, ALL)
    except TiermemError as error:
        failures.append(str(error))
    return figures, failures


def _answers_per_s(playing: Playing, population: Population) -> float:
    """Of an engine that is never idle."""
    played = playing.play(population.at_once_alike(_SPEED_SESSIONS))
    return len(played.requests) / played.wall_s


def fits(amount: Amount, setting: Setting, advance: Advance) -> Found:
    """The same work where vLLM's own cache holds all of it, in turns."""
    # What a step costs besides weighs more in shorter ones.
    pairs, size = [], sizes(is_quick=False)
    running = _running(setting, size.fitting, (VLLM, ALL), advance)
    for number in range(amount.rounds):
        advance(f"fits: round {number + 1} of {amount.rounds}")
        population = Population(setting.source, size.scale, amount.seed + number)
        load = population.at_once_alike(amount.fitting_sessions)
        # Each is the first as often as the second.
        order = (VLLM, ALL) if number % 2 else (ALL, VLLM)
        played = {name: running[name].play(load) for name in order}
        pairs.append((played[VLLM], played[ALL]))
    loss = serving_figures.loss_when_it_fits(pairs)
    runs = [serving_figures.point_of(one) for pair in pairs for one in pair]
    return Found(
        {"throughput_loss_when_it_fits": loss},
        runs,
        [serving_tables.rounds(pairs, loss)],
        asdict(size),
    )


def wrong(amount: Amount, setting: Setting, advance: Advance) -> Found:
    """Configurations' tokens against plain vLLM's, in fp32, over the same sessions."""
    population = Population(setting.source, COMPARED_SCALE, amount.seed)
    load = population.at_once(amount.wrong_sessions)
    made = _engines(setting, COMPARED)
    played: dict[str, Played] = {}
    for name in amount.wrong_names:
        advance(f"wrong: {name}")
        # One after the other in one process: in fp32 they take much memory.
        running = setting.workers.running([made[name]])
        played[name] = running[name].play(load, is_free=True)
    right = played[VLLM].tokens
    unused = [
        f"{name}: none from {tier}"
        for name, one in played.items()
        # A few sessions need not overflow all of them.
        for tier in TIERS.get(name, ())[: 1 if amount.is_quick else None]
        if not one.tiers.get(f"{tier} hits")
    ]
    if unused:
        raise TiermemError(f"blocks restored: {'; '.join(unused)}: more sessions are needed")
    if not right or not all(right.values()):
        raise TiermemError(f"{VLLM}: gave no answers to compare with")
    counts = {name: serving_figures.wrong_tokens(right, one.tokens) for name, one in played.items()}
    return Found(
        {"wrong_tokens": sum(counts.values())},
        [replace(one, tokens={}) for one in played.values()],
        [serving_tables.wrong(list(played.values()), counts)],
        {"wrong_tokens_by_configuration": counts, "size": asdict(COMPARED)},
    )


def vattention(amount: Amount, setting: Setting, advance: Advance) -> Found:
    """What bench.vattention measures."""
    setting.workers.close()
    advance("vattention: memory, steps and attention")
    found = vattention_part.measure(quick=amount.is_quick)
    return Found(vattention_part.figures(found), [found], vattention_part.tables(found))


def prefill_only(amount: Amount, setting: Setting, advance: Advance) -> Found:
    """What bench.prefill_only measures."""
    setting.workers.close()
    advance("prefillonly: logits, inputs and requests")
    found = prefill_part.measure_all(quick=amount.is_quick)
    return Found(prefill_part.figures(found), [found], prefill_tables.tables(found))


def _running(
    setting: Setting, size: Size, names: Sequence[str], advance: Advance
) -> dict[str, Playing]:
    advance(f"{len(names)} engines start")
    made = _engines(setting, size)
    return setting.workers.running([made[name] for name in names])


def _engines(setting: Setting, size: Size) -> Mapping[str, Engine]:
    """With files of their own: the part before has its engines open still."""
    folder = setting.ssd / f"{size.dtype}-{size.kv_tokens}"
    folder.mkdir(exist_ok=True)
    return engines(size, folder)


PARTS: dict[str, Callable[[Amount, Setting, Advance], Found]] = {
    "sessions": sessions,
    "fits": fits,
    "wrong": wrong,
    "vattention": vattention,
    "prefillonly": prefill_only,
}
