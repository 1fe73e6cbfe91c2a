"""Doing what needs root: as root directly, else in a user namespace.

An ordinary user becomes root of a user namespace in which their subordinate ids
(/etc/subuid) are the other users, so files of a Debian root keep their owners.
Mounts are always made in a private mount namespace and vanish with the command.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiermem.errors import MissingError


def is_root() -> bool:
    """Whether this process may do everything already."""
    return os.geteuid() == 0


def as_root_prefix() -> list[str]:
    """The words before a command that make it run as root with private mounts."""
    if is_root():
        return ["unshare", "--mount", "--"]
    for program in ("newuidmap", "newgidmap"):
        if shutil.which(program) is None:
            raise MissingError(
                f"{program} is missing: install the package uidmap (or run as root) "
                "to build the testbed as an ordinary user"
            )
    return ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--"]


def remove_tree(path: Path) -> None:
    """Delete a folder whose files may belong to subordinate ids."""
    try:
        shutil.rmtree(path)
    except PermissionError:
        subprocess.run([*as_root_prefix(), "rm", "-rf", "--", str(path)], check=True)


def chroot_command(
    root: Path, command: Sequence[str], binds: Mapping[Path, str], environment: Mapping[str, str]
) -> list[str]:
    """A command line that runs `command` in a Debian root.

    binds: host folder -> absolute path in the root, which exists there.
    """
    quoted_root = shlex.quote(str(root))
    steps = [
        "set -e",
        f"mount --rbind /dev {quoted_root}/dev",
        f"mount --rbind /proc {quoted_root}/proc",
        f"mount -t tmpfs tmpfs {quoted_root}/tmp",
    ]
    for source, target in binds.items():
        steps.append(f"mount --rbind {shlex.quote(str(source))} {quoted_root}{shlex.quote(target)}")
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        **environment,
    }
    words = ["env", "-i", *(f"{key}={value}" for key, value in variables.items()), *command]
    steps.append(f"exec chroot {quoted_root} {shlex.join(words)}")
    return [*as_root_prefix(), "sh", "-c", "\n".join(steps)]
