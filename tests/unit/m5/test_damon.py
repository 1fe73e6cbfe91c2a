"""The DAMON tracker: what it writes to sysfs, and what it makes of the regions there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import MissingError, TiermemError
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import read_topology
from tiermem.m5.layout import choose_layout
from tiermem.m5.settings import TierSettings, TrackerSettings
from tiermem.m5.trackers import TrackerPlace
from tiermem.m5.trackers.damon import LIST_PAGES_MAX, DamonTracker
from tiermem.m5.trackers.found import Found

from tests.unit.m5.damon_tree import CONTEXT, region, with_damon
from tests.unit.m5.trees import BLOCK_BYTES, make_tree


def tracker(tree: Tree, found: Found | None = None) -> DamonTracker:
    layout = choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))
    settings = TrackerSettings(kind="damon")
    return DamonTracker(TrackerPlace(settings, layout, True, False, tree.sysfs, found or Found()))


def test_it_watches_both_nodes_and_only_takes_statistics(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    tracker(tree).start()
    assert (admin / f"{CONTEXT}/operations").read_text() == "paddr"
    assert (admin / f"{CONTEXT}/schemes/0/action").read_text() == "stat"
    assert (admin / f"{CONTEXT}/targets/0/regions/1/start").read_text() == str(BLOCK_BYTES)
    assert (admin / "0/state").read_text() == "on"


def test_hot_regions_of_slow_memory_become_pages_hottest_first(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    watch = tracker(tree)
    watch.start()
    region(admin, 0, 4096, 10, 20)  # fast memory
    region(admin, 1, BLOCK_BYTES, 2, 3)
    region(admin, 2, BLOCK_BYTES + 8 * 4096, 3, 9)
    [listed] = watch.lists(0)
    first = BLOCK_BYTES // 4096
    assert listed.pages.tolist() == [first + 8, first + 9, first + 10, first, first + 1]
    assert listed.counts.tolist() == [9, 9, 9, 3, 3]
    # 0.1 s of aggregation: 10 pages hit 20 times, and 3 x 9 + 2 x 3 hits, of 64 B each.
    assert watch.read_Bps_estimate == pytest.approx((200 * 640, 33 * 640))


def test_a_list_is_bounded(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    watch = tracker(tree)
    watch.start()
    region(admin, 1, BLOCK_BYTES, 30_000, 3)
    assert watch.lists(0)[0].pages.size == LIST_PAGES_MAX


def test_it_does_not_take_damon_from_somebody_else(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path, kdamonds=2)
    with pytest.raises(TiermemError, match="damo stop"):
        tracker(tree).start()
    assert (admin / "nr_kdamonds").read_text() == "2\n"


def test_it_takes_its_kdamond_away(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    watch = tracker(tree)
    watch.start()
    watch.stop()
    assert (admin / "nr_kdamonds").read_text() == "0"


def test_it_says_that_the_kdamond_is_its_own_before_it_makes_it(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    at_that_moment: list[str] = []
    found = Found(remember=lambda: at_that_moment.append((admin / "nr_kdamonds").read_text()))
    watch = tracker(tree, found)
    watch.start()
    assert at_that_moment == ["0\n"]
    watch.stop()
    assert found.notes == {}


def test_after_a_kill_its_kdamond_is_taken_away_and_made_anew(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    found = Found()
    tracker(tree, found).start()
    (admin / f"{CONTEXT}/operations").write_text("as the killed run left it")
    again = tracker(tree, Found(dict(found.notes)))
    again.start()
    assert (admin / f"{CONTEXT}/operations").read_text() == "paddr"
    again.stop()
    assert (admin / "nr_kdamonds").read_text() == "0"


def test_one_that_was_killed_while_it_made_its_kdamond_is_cleaned_up_too(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path, kdamonds=1)
    (admin / "0/contexts/nr_contexts").write_text("0\n")
    tracker(tree, Found({"damon": True})).start()
    assert (admin / "0/state").read_text() == "on"


@pytest.mark.parametrize(("kdamonds", "action"), [(1, "pageout"), (2, "stat")])
def test_what_somebody_else_made_after_the_kill_is_not_taken(
    tmp_path: Path, kdamonds: int, action: str
) -> None:
    tree, admin = with_damon(tmp_path, kdamonds)
    for name, value in (
        ("0/state", "on"),
        ("0/contexts/nr_contexts", "1"),
        (f"{CONTEXT}/schemes/nr_schemes", "1"),
        (f"{CONTEXT}/schemes/0/action", action),
    ):
        (admin / name).write_text(f"{value}\n")
    with pytest.raises(TiermemError, match="damo stop"):
        tracker(tree, Found({"damon": True})).start()
    assert (admin / "0/state").read_text() == "on\n"


def test_a_kernel_without_damon_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="CONFIG_DAMON_SYSFS"):
        tracker(make_tree(tmp_path)).start()
