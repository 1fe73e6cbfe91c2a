"""Builds the parts of an engine from the config, on this host."""

from __future__ import annotations

from tiermem.errors import MissingError, NoRightError
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import Topology
from tiermem.m5.engine import Parts
from tiermem.m5.layout import Layout, choose_layout
from tiermem.m5.monitor import Monitor
from tiermem.m5.policy import load_policy
from tiermem.m5.promote_by_address import AddressPromoter
from tiermem.m5.promote_by_frame import FramePromoter
from tiermem.m5.promoter import Promoter
from tiermem.m5.rate_limit import RateLimiter
from tiermem.m5.room import RoomMaker, make_room_maker
from tiermem.m5.scope import make_scope
from tiermem.m5.settings import M5Settings, PromoterSettings
from tiermem.m5.switches import NUMA_BALANCING, Switches
from tiermem.m5.trackers import TrackerPlace, make_tracker
from tiermem.m5.trackers.found import Found


def make_parts(
    settings: M5Settings, topology: Topology, tree: Tree, now_ns: int, found: Found
) -> Parts:
    """Every part, idle: the tracker is not started, nothing in the kernel is changed.

    In `found` the tracker notes what it will have to give back.
    Raises the ConfigError or MissingError of the first part that this host
    cannot have.
    """
    layout = choose_layout(settings.tiers, topology)
    mode = settings.nominator.mode
    tracker = make_tracker(
        TrackerPlace(
            settings.tracker,
            layout,
            wants_pages="hpt" in mode,
            wants_lines="hwt" in mode,
            sysfs=tree.sysfs,
            found=found,
        )
    )
    return Parts(
        layout=layout,
        tracker=tracker,
        monitor=Monitor(
            layout.fast_nodes, layout.slow_nodes, tracker.traffic, settings.monitor, tree
        ),
        policy=load_policy(settings.policy.name, settings.for_policy()),
        limiter=RateLimiter(settings.promoter.rate_limit_MBps, settings.promoter.burst_s, now_ns),
        promoter=make_promoter(settings.promoter, tree),
        scope=make_scope(settings.scope, tree),
    )


def make_promoter(settings: PromoterSettings, tree: Tree) -> Promoter:
    """The configured promoter; `auto` takes the module where it is loaded."""
    if settings.kind == "move-pages":
        return AddressPromoter(tree)
    try:
        return FramePromoter(settings.device)
    except NoRightError:
        raise  # with the module loaded, going without it would hide a wrong set-up
    except MissingError:
        if settings.kind == "module":
            raise
        return AddressPromoter(tree)


def prepare_kernel(settings: M5Settings, layout: Layout, switches: Switches) -> RoomMaker:
    """Set the kernel's switches as the config says, and return how room is made."""
    if settings.kernel.numa_balancing == "off":
        switches.set(NUMA_BALANCING, "0")
    return make_room_maker(settings.demotion, layout.fast_nodes, switches)
