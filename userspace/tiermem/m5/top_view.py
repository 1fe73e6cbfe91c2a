"""Renders the daemon's status for people: `tiermem m5 status` and `top`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

MIB = 1 << 20
PAGES_PER_MIB = 256


def render(status: Mapping[str, Any], hot: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Tiers, bandwidths, hot pages by process, moves and refusals, one below the other."""
    parts: list[RenderableType] = [_headline(status), _tiers(status["tiers"])]
    if hot:
        parts.append(_processes(hot))
    parts.append(_moves(status["totals"]))
    if status["recent"]:
        parts.append(_recent(status["recent"]))
    parts += [Text(f"warning: {warning}", style="yellow") for warning in status["warnings"]]
    parts += [Text(f"not known here: {what}", style="dim") for what in status["unavailable"]]
    for part in ("tracker", "promoter", "policy"):
        if status[part]["trouble"]:
            parts.append(Text(f"{part}: {status[part]['trouble']}", style="red"))
    return Group(*parts)


def _headline(status: Mapping[str, Any]) -> Text:
    dry = " (dry run: nothing is moved)" if status["dry_run"] else ""
    cpu = status["cpu"]
    return Text(
        f"m5{dry}  tracker {status['tracker']['name']}  promoter {status['promoter']['name']}  "
        f"policy {status['policy']['name']}  "
        f"CPU {cpu['user_s']:.2f} s user, {cpu['system_s']:.2f} s system\n{status['reason']}",
        style="bold",
    )


def _tiers(tiers: Mapping[str, Any]) -> Table:
    table = Table("tier", "nodes", "reads MB/s", "LRU MiB", "free MiB", "density 1/s")
    for name in ("fast", "slow"):
        tier = tiers[name]
        rate, active = tier["read_Bps"], tier["active_bytes"]
        density = rate / active if rate is not None and active else None
        table.add_row(
            name,
            ",".join(map(str, tier["nodes"])),
            _number(rate, 1e6),
            _number(active, MIB),
            _number(tier["free_bytes"], MIB),
            "-" if density is None else f"{density:.3f}",
        )
    return table


def _processes(hot: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("pid", "command", "hot pages", "reads/s", title="hot pages in slow memory")
    for one in hot[:10]:
        table.add_row(
            str(one["pid"]), one["command"], str(one["hot_pages"]), f"{one['reads_per_s']:.0f}"
        )
    return table


def _moves(totals: Mapping[str, Any]) -> Table:
    table = Table("since the first start", "pages")
    table.add_row(
        "moved up", f"{totals['moved_pages']} ({totals['moved_pages'] // PAGES_PER_MIB} MiB)"
    )
    table.add_row("pushed down for room", str(totals["room_pages"]))
    for name, count in sorted(totals["results"].items()):
        table.add_row(f"promoter: {name}", str(count))
    for name, count in sorted(totals["verdicts"].items()):
        table.add_row(f"policy: {name}", str(count))
    return table


def _recent(recent: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("round", "moved", "verdicts", "results", "why")
    for one in recent[-5:]:
        table.add_row(
            str(one["number"]),
            str(one["moved_pages"]),
            _counts(one["verdicts"]),
            _counts(one["results"]),
            one["reason"],
        )
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.items())


def _number(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.1f}"


def render_explanation(answer: Mapping[str, Any]) -> RenderableType:
    """The answer of /v1/explain."""
    where = ", ".join(
        f"node {node}: {size / MIB:.1f} MiB" for node, size in answer["bytes_by_node"].items()
    )
    parts: list[RenderableType] = [
        Text(f"process {answer['pid']}: {where or 'no memory'}", style="bold"),
        Text(f"{answer['pages_considered']} of its pages were considered in the last rounds"),
    ]
    if answer["outside"]:
        parts.append(
            Text(
                f"it is outside {answer['outside']}: its pages stay, but for those that a "
                "process inside has too",
                style="yellow",
            )
        )
    for name, count in sorted(answer["verdicts"].items(), key=lambda item: -item[1]):
        parts.append(Text(f"  {count:6d} {name}: {answer['meanings'][name]}"))
    for name, count in sorted(answer["results"].items(), key=lambda item: -item[1]):
        parts.append(Text(f"  {count:6d} tried: {name}"))
    if answer["pages"]:
        table = Table("address", "frame", "reads/s", "why", title="hottest of them")
        for page in answer["pages"]:
            table.add_row(
                page["address"], hex(page["pfn"]), f"{page['reads_per_s']:.0f}", page["why"]
            )
        parts.append(table)
    return Group(*parts)
