"""How long an idle instance is kept: long while there is memory, briefly when it gets short.

CXLporter shrinks the window down to 10 s under memory pressure, because a clone of an
image comes back in milliseconds (ASPLOS 2025, "dynamic policy"). Pure: the clock and
the node's memory are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tiermem.service.config import Settings

SHORTEST_S = 10.0


class KeepAliveSettings(Settings):
    """[keep_alive]: windows, and the share of the node's memory in use between which
    the one becomes the other."""

    longest_s: float = Field(default=600.0, ge=SHORTEST_S)
    shortest_s: float = Field(default=SHORTEST_S, ge=0.1)
    relaxed_share: float = Field(default=0.70, ge=0, le=1)
    pressed_share: float = Field(default=0.90, ge=0, le=1)


@dataclass(frozen=True)
class Idle:
    """An instance that waits: for how long, and the local memory that its end gives back."""

    key: int
    idle_s: float
    local_bytes: int


def window_s(used_share: float, settings: KeepAliveSettings) -> float:
    """How long an instance may be idle, with that share of the node's memory in use.

    The longest up to relaxed_share, the shortest from pressed_share on, in proportion
    between the two.
    """
    span = settings.pressed_share - settings.relaxed_share
    if span <= 0:
        return settings.longest_s if used_share < settings.pressed_share else settings.shortest_s
    left = min(1.0, max(0.0, (settings.pressed_share - used_share) / span))
    return settings.shortest_s + left * (settings.longest_s - settings.shortest_s)


def to_end(
    idle: Sequence[Idle], used_bytes: int, limit_bytes: int, settings: KeepAliveSettings
) -> list[int]:
    """Keys of the instances to end now, those that are idle the longest first.

    Each that goes gives memory back, so that the next is judged by a longer window.
    """
    ended = []
    for one in sorted(idle, key=lambda each: -each.idle_s):
        if one.idle_s < window_s(used_bytes / limit_bytes, settings):
            continue
        ended.append(one.key)
        used_bytes -= one.local_bytes
    return ended
