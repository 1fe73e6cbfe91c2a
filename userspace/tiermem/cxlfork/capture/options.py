"""What a person may allow a checkpoint to leave out or to do differently."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """close_fds: numbers that a restored process does not have. close_sockets: nor any
    socket. relisten: but those that listen do so again."""

    close_fds: frozenset[int] = frozenset()
    close_sockets: bool = False
    relisten: bool = False
