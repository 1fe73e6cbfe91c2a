"""Doing what needs root: as root directly, else in a user namespace.

An ordinary user becomes root of a user namespace in which their subordinate ids
(/etc/subuid) are the other users, so files of a Debian root keep their owners.
Mounts are always made in a private mount namespace and vanish with the command.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiermem.errors import MissingError


def is_root() -> bool:
    """Whether this process may do everything already."""
    return os.geteuid() == 0


def admin_path() -> str:
    """PATH with mke2fs, chroot and their like in it: Debian leaves them out of users' own."""
    return f"/usr/local/sbin:/usr/sbin:/sbin:{os.environ.get('PATH', os.defpath)}"


def as_root_prefix() -> list[str]:
    """The words before a command that make it run as root with private mounts."""
    with_path = ["env", f"PATH={admin_path()}"]
    if is_root():
        return [*with_path, "unshare", "--mount", "--"]
    for program in ("newuidmap", "newgidmap"):
        if shutil.which(program, path=admin_path()) is None:
            raise MissingError(
                f"{program} is missing: install the package uidmap (or run as root) "
                "to build the testbed as an ordinary user"
            )
    return [*with_path, "unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--"]


def check_rights() -> None:
    """MissingError, with what to do about it, where commands cannot be run as root."""
    tried = subprocess.run(
        [*as_root_prefix(), "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if tried.returncode == 0:
        return
    said = (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[-1]
    # What unshare adds where no system call failed.
    said = said.removesuffix(": Success")
    raise MissingError(f"cannot build the testbed ({said}): {_remedy(said)}")


def _remedy(said: str) -> str:
    if is_root():
        return "let this container mount (CAP_SYS_ADMIN)"
    if "/etc/subuid" in said or "/etc/subgid" in said:
        name = f"user {os.geteuid()}"
        with contextlib.suppress(KeyError):
            name = pwd.getpwuid(os.geteuid()).pw_name
        ranges = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        return f"give yourself such ids, as root: usermod {ranges} {name} (or run as root)"
    return (
        "allow user namespaces to ordinary users (sysctl kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run as root"
    )


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
