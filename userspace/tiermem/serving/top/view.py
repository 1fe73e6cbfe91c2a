"""A server's activity as tables, for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tiermem.service.size import size_text
from tiermem.serving.top.activity import Activity, Latency

NO_TIERS = (
    "no KV tiers in this server: start it with the options that `tiermem serving options` prints"
)


def render(seen: Activity, server: str) -> RenderableType:
    """Tiers, where prompts' KV came from, the engine, latencies; one below the other."""
    parts: list[RenderableType] = [Text(f"{server}  {seen.model or 'vLLM'}", style="bold")]
    if not seen.has_tiers:
        parts.append(Text(NO_TIERS, style="yellow"))
    elif seen.tiers:
        parts += [_tiers(seen), *_places(seen), Text(), _tokens(seen), _blocks(seen)]
    else:
        parts.append(Text("the KV tiers have had nothing to do yet", style="dim"))
    parts += [Text(), _engine(seen), Text(), _latencies(seen)]
    return Group(*parts)


def _table(first: str, headings: Iterable[str]) -> Table:
    table = Table(first, box=None, pad_edge=False, header_style="bold cyan")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _tiers(seen: Activity) -> Table:
    sizes, rates = ("capacity", "used", "hits", "share"), ("hits/s", "in/s", "out/s")
    table = _table("tier", (*sizes, *rates, "stored", "evicted", "corrupt"))
    for name, tier in seen.tiers.items():
        table.add_row(
            name,
            size_text(tier.capacity_bytes),
            _share(tier.used_bytes / tier.capacity_bytes if tier.capacity_bytes else None),
            str(tier.hits),
            _share(tier.hit_share),
            _number(tier.hits_per_s),
            _size(tier.in_Bps),
            _size(tier.out_Bps),
            str(tier.stored),
            str(tier.evicted),
            Text(str(tier.corrupted), style="bold red" if tier.corrupted else ""),
        )
    return table


def _places(seen: Activity) -> list[Text]:
    return [Text(f"  {name}: {tier.where}", style="dim") for name, tier in seen.tiers.items()]


def _tokens(seen: Activity) -> Table:
    tokens = seen.tokens
    table = _table("tokens of prompts", ("since start", "share", "per second"))
    total = tokens.restored + tokens.cached + tokens.computed
    for name, count, rate in (
        ("restored from the tiers", tokens.restored, tokens.restored_per_s),
        ("still in the engine", tokens.cached, tokens.cached_per_s),
        ("computed", tokens.computed, tokens.computed_per_s),
    ):
        table.add_row(name, str(count), _share(count / total if total else None), _number(rate))
    return table


def _blocks(seen: Activity) -> Text:
    blocks = seen.blocks
    return Text(
        f"  blocks: {blocks.restored} restored, {blocks.recomputed} found and computed since that "
        f"is faster, {blocks.missed} in no tier",
        style="dim",
    )


def _engine(seen: Activity) -> Table:
    table = _table("engine", ("KV in use", "running", "waiting", "preempted", "tokens made/s"))
    engine = seen.engine
    counts = (engine.running, engine.waiting, engine.preempted)
    table.add_row(
        "",
        _share(engine.kv_use),
        *("-" if count is None else str(count) for count in counts),
        _number(engine.generated_per_s),
    )
    return table


def _latencies(seen: Activity) -> Table:
    table = _table("latency, ms", ("requests", "mean", "P50", "P95"))
    for name, latency in (
        ("TTFT, last interval", seen.recent_ttft),
        ("TTFT, since start", seen.ttft),
        ("TPOT, last interval", seen.recent_tpot),
        ("TPOT, since start", seen.tpot),
    ):
        table.add_row(name, *_latency(latency))
    return table


def _latency(latency: Latency | None) -> list[str]:
    if latency is None:
        return ["-"] * 4
    times_s = (latency.mean_s, latency.p50_s, latency.p95_s)
    times = ("-" if time_s is None else f"{time_s * 1e3:.1f}" for time_s in times_s)
    return [str(latency.requests), *times]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _size(value: float | None) -> str:
    return "-" if value is None else size_text(int(value))
