"""The socket of a daemon as a file: where it lies, whose it is, and which daemon has it.

The folder is 0750 and the socket 0660, both root:tiermem. A lock file beside the
socket keeps two daemons apart, so that a socket left behind by a crash is known to be
stale and is replaced.
"""

from __future__ import annotations

import fcntl
import grp
import logging
import os
import socket
import stat
from pathlib import Path

from tiermem.errors import MissingError, TiermemError

RUN_DIR = Path("/run/tiermem")
GROUP = "tiermem"

_log = logging.getLogger(__name__)


def socket_path(daemon: str) -> Path:
    """Where the daemon called `daemon` (m5, …) listens unless its config says otherwise."""
    return RUN_DIR / f"{daemon}.sock"


class ClaimedError(TiermemError):
    """Another daemon holds the lock beside the socket."""


def claim(path: Path, group: str = GROUP) -> int:
    """Make the folder and take the lock beside the socket; returns the lock's descriptor.

    ClaimedError while another process holds it. Who works on what a daemon owns, without
    listening, takes it too.
    """
    gid = group_id(group)
    try:
        is_new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if gid is not None and (is_new or path.parent == RUN_DIR):
            _give_to_group(path.parent, gid, 0o750)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock_fd = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    except OSError as error:
        raise MissingError(
            f"{path}: the socket cannot be made there: {error.strerror} (run as root, or name "
            "another socket in the config)"
        ) from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock_fd)
        raise ClaimedError(f"{path}: another daemon is listening there") from error
    return lock_fd


def listen(
    path: Path, group: str | None, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """A bound socket at `path`, 0660 to the group or 0600; replaces a stale one.

    group: None where it is its owner's alone.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None:
        if not stat.S_ISSOCK(mode):
            raise TiermemError(f"{path}: is there and is not a socket; remove it or name another")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        # Linux takes the mode of a socket file from the descriptor's, so it is never wider.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise TiermemError(f"{path}: cannot listen there: {reason}") from error
    if group is None:
        return listener
    gid = group_id(group)
    if gid is None:
        _log.warning("there is no group %s: only root can use %s", group, path)
    else:
        _give_to_group(path, gid, 0o660)
    return listener


def group_id(group: str) -> int | None:
    """The number of `group`, or None where this host has no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _give_to_group(path: Path, gid: int, mode: int) -> None:
    try:
        os.chown(path, -1, gid)
        path.chmod(mode)
    except PermissionError:
        _log.warning("%s: cannot be given to group %d; only its owner can use it", path, gid)
