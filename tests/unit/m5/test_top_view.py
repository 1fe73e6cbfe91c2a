"""What `status`, `top` and `explain` show to people."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from tiermem.m5.top_view import render, render_explanation

MIB = 1 << 20


def text(shown: RenderableType) -> str:
    console = Console(width=140, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def status(**changes: Any) -> dict[str, Any]:
    tier = {"nodes": [0], "read_Bps": 5e6, "active_bytes": 2 * MIB, "free_bytes": 3 * MIB}
    return {
        "dry_run": False,
        "tracker": {"name": "device", "trouble": ""},
        "promoter": {"name": "module", "trouble": ""},
        "policy": {"name": "density", "trouble": ""},
        "cpu": {"user_s": 1.0, "system_s": 0.5},
        "reason": "12 pages pay",
        "tiers": {"fast": tier, "slow": {**tier, "nodes": [1], "read_Bps": None}},
        "totals": {
            "moved_pages": 512,
            "room_pages": 9,
            "results": {"moved": 500, "busy": 3},
            "verdicts": {"one_off": 77},
        },
        "recent": [],
        "warnings": [],
        "unavailable": [],
        **changes,
    }


def explanation(**changes: Any) -> dict[str, Any]:
    return {
        "pid": 7,
        "outside": "",
        "bytes_by_node": {"0": MIB, "1": 2 * MIB},
        "pages_considered": 1,
        "verdicts": {"one_off": 1},
        "results": {},
        "meanings": {"one_off": "hot in one list only"},
        "pages": [{"address": "0x1000", "pfn": 255, "reads_per_s": 40.0, "why": "because"}],
        **changes,
    }


def row(shown: str, name: str) -> list[str]:
    """The cells of the row that begins with `name`."""
    cells = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines()]
    return next(one[1:-1] for one in cells if len(one) > 1 and one[1] == name)


def test_tiers_moves_and_refusals_are_shown() -> None:
    shown = text(render(status(), []))
    assert row(shown, "fast") == ["fast", "0", "5.0", "2.0", "3.0", "2.384"]
    assert row(shown, "slow") == ["slow", "1", "-", "2.0", "3.0", "-"]
    assert row(shown, "moved up") == ["moved up", "512 (2 MiB)"]
    assert row(shown, "promoter: busy") == ["promoter: busy", "3"]
    assert row(shown, "policy: one_off") == ["policy: one_off", "77"]
    assert "12 pages pay" in shown
    assert "hot pages in slow memory" not in shown


def test_hot_pages_are_shown_by_process() -> None:
    hot = [{"pid": 42, "command": "redis", "hot_pages": 5, "reads_per_s": 1234.5}]
    assert row(text(render(status(), hot)), "42") == ["42", "redis", "5", "1234"]


def test_the_last_five_rounds_are_shown() -> None:
    recent = [
        {
            "number": number,
            "moved_pages": number,
            "verdicts": {"promote": 2, "sparse": 1},
            "results": {"moved": 2},
            "reason": "why not",
        }
        for number in range(1, 8)
    ]
    shown = text(render(status(recent=recent), []))
    assert row(shown, "7") == ["7", "7", "promote 2 sparse 1", "moved 2", "why not"]
    assert "│ 2 " not in shown


def test_dry_runs_warnings_and_troubles_are_said() -> None:
    shown = text(
        render(
            status(
                dry_run=True,
                warnings=["kdamond 0 is running"],
                unavailable=["read bandwidth"],
                tracker={"name": "device", "trouble": "gone"},
                policy={"name": "mine:Policy", "trouble": "decide failed"},
            ),
            [],
        )
    )
    assert "dry run: nothing is moved" in shown
    assert "warning: kdamond 0 is running" in shown
    assert "not known here: read bandwidth" in shown
    assert "tracker: gone" in shown
    assert "policy: decide failed" in shown


def test_an_explanation_names_places_reasons_and_pages() -> None:
    shown = text(render_explanation(explanation(results={"busy": 1})))
    assert "process 7: node 0: 1.0 MiB, node 1: 2.0 MiB" in shown
    assert "1 one_off: hot in one list only" in shown
    assert "1 tried: busy" in shown
    assert row(shown, "0x1000") == ["0x1000", "0xff", "40", "because"]
    assert "outside" not in shown


def test_an_explanation_says_that_the_process_is_outside_the_scope() -> None:
    shown = text(render_explanation(explanation(outside="scope.pids = [9]", pages=[])))
    assert "outside scope.pids = [9]" in shown
