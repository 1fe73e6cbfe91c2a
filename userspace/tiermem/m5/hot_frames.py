"""The frames that M5's daemon holds for hot, for who has no part in M5: arenas ask here.

arena.hot_pages(read_hot_frames)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tiermem.errors import MissingError
from tiermem.layer.arena.hotness import HotFrames
from tiermem.service.client import LocalClient
from tiermem.service.socket_file import socket_path


def read_hot_frames(socket: Path | None = None) -> HotFrames | None:
    """The candidates of the daemon's last round; none where it has made no round yet.

    None where no daemon answers, or this process may not ask it. M5 tracks the slow tier,
    so frames of the fast one are never among them.
    """
    client = LocalClient(socket or socket_path("m5"))
    try:
        rounds = client.get("/v1/candidates", {"rounds": "1"})["rounds"]
    except MissingError:
        return None
    last = rounds[-1] if rounds else {"pfns": [], "reads_per_s": []}
    return HotFrames(
        np.array(last["pfns"], dtype=np.uint64), np.array(last["reads_per_s"], dtype=np.float64)
    )
