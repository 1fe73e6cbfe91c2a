"""The turns as a table that grows, and what they come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table

from examples.chat.talk import Turn


def turns_table(title: str, turns: Sequence[Turn]) -> Table:
    """A line for each turn so far."""
    table = Table("turn", "user", title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("prompt", "engine", "memory", "ssd", "computed", "TTFT ms"):
        table.add_column(heading, justify="right")
    for turn in turns:
        table.add_row(
            str(turn.number + 1),
            turn.user.subject,
            str(turn.prompt_tokens),
            str(turn.cached),
            str(turn.by_tier.get("memory", 0)),
            str(turn.by_tier.get("ssd", 0)),
            str(turn.computed),
            f"{turn.ttft_s * 1e3:.0f}",
        )
    return table


def summary(turns: Sequence[Turn]) -> list[str]:
    """Of the turns that had a history."""
    later = [turn for turn in turns if turn.number]
    if not later:
        return ["one turn each: nobody has come back"]
    tokens = sum(turn.prompt_tokens for turn in later)
    by_tier = {tier: sum(turn.by_tier.get(tier, 0) for turn in later) for tier in ("memory", "ssd")}
    kept = ", ".join(f"{count} from {tier}" for tier, count in by_tier.items())
    return [
        f"of {tokens} tokens of prompts with a history: {kept}, "
        f"{sum(turn.cached for turn in later)} still in the engine, "
        f"{sum(turn.computed for turn in later)} computed",
        f"TTFT of these turns: {_mean_ms(later):.0f} ms in the mean",
    ]


def comparison(tiered: Sequence[Turn], plain: Sequence[Turn]) -> list[str]:
    """Both chats beside each other; the answers have to be the same."""
    pairs = list(zip(tiered, plain, strict=True))
    later = [(one, other) for one, other in pairs if one.number]
    same = sum(one.answer == other.answer for one, other in pairs)
    lines = [f"the same answers: {same} of {len(pairs)}"]
    if later:
        ours, theirs = _mean_ms([one for one, _ in later]), _mean_ms([one for _, one in later])
        lines.append(
            f"TTFT of turns with a history, mean: {ours:.0f} ms with the tiers, {theirs:.0f} ms "
            f"with plain vLLM: {theirs / ours:.1f} times as long"
        )
    return lines


def _mean_ms(turns: Sequence[Turn]) -> float:
    return statistics.fmean(turn.ttft_s for turn in turns) * 1e3
