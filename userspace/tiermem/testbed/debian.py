"""Debian roots: one to run QEMU from, one that is the guest and builds its modules.

mmdebstrap makes a root as a tar archive, as root or not; it is unpacked in the
namespace where the files get their owners. The mirror is the one that the
host's apt uses, or else mmdebstrap's own; nothing here names a server.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tiermem.errors import MissingError
from tiermem.service.user_cache import user_cache
from tiermem.testbed import cache
from tiermem.testbed.errors import BuildError
from tiermem.testbed.namespace import admin_path, as_root_prefix, check_rights
from tiermem.testbed.progress import Progress, Step, run_logged

PACKAGES_FILE = Path(__file__).parent / "packages.toml"

_DPKG_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    # The testbed makes its own ramdisk; making Debian's takes half a minute a kernel.
    "path-exclude=/etc/kernel/postinst.d/initramfs-tools",
)
_APT_OPTIONS = ('Acquire::Languages "none"', 'APT::Install-Recommends "false"')
_UNREACHABLE = re.compile(
    r".*(Could not resolve|Temporary failure resolving|Could not connect|Network is unreachable|"
    r"Connection timed out|Connection refused).*"
)
# Part of the roots' digest: to be raised when this module makes them differently.
_VERSION = "1"
_QEMU_ROOT_BYTES = 700 << 20
_GUEST_ROOT_BYTES = 6 << 30


class _Root(BaseModel):
    model_config = ConfigDict(extra="forbid")
    packages: list[str]
    newest_kernel: list[str] = []
    pypi: list[str] = []


class PackageList(BaseModel):
    """packages.toml."""

    model_config = ConfigDict(extra="forbid")
    suite: str
    backports: str
    qemu: _Root
    guest: _Root


def read_packages(path: Path = PACKAGES_FILE) -> PackageList:
    """The package lists."""
    return PackageList.model_validate(tomllib.loads(path.read_text()))


def qemu_root(progress: Progress) -> Path:
    """A Debian root with a QEMU that is new enough."""
    return _root("qemu", "Debian root with QEMU", _QEMU_ROOT_BYTES, progress)


def guest_root(progress: Progress) -> Path:
    """The Debian root that guests run and that builds what runs in them."""
    return _root("guest", "Debian root of the guests", _GUEST_ROOT_BYTES, progress)


def _root(kind: str, title: str, needed_bytes: int, progress: Progress) -> Path:
    packages = read_packages()
    listed: _Root = getattr(packages, kind)
    content = [packages.suite, packages.backports, listed.model_dump()]
    digest = cache.digest_of(
        _VERSION, json.dumps(content, sort_keys=True), *_DPKG_OPTIONS, *_APT_OPTIONS
    )

    def build(folder: Path) -> None:
        _check_host(needed_bytes)
        with progress.step(title) as step:
            root = folder / "root"
            root.mkdir()
            _unpack_while_making(_mmdebstrap_command(packages, listed), root, step)
            if listed.pypi:
                _install_pypi(listed.pypi, folder, root, step)

    return cache.stage(f"{kind}-root", digest, build, keep=2) / "root"


def _check_host(needed_bytes: int) -> None:
    for program, package in (("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")):
        if shutil.which(program, path=admin_path()) is None:
            raise MissingError(f"{program} is missing: install the package {package}")
    check_rights()
    free = cache.free_bytes(user_cache())
    if free < needed_bytes:
        raise MissingError(
            f"{user_cache()} has {free >> 20} MiB free and the testbed needs "
            f"{needed_bytes >> 20} MiB: free some space or set XDG_CACHE_HOME"
        )


def _mmdebstrap_command(packages: PackageList, listed: _Root) -> list[str]:
    backports = (
        'cd "$1/etc/apt" && cat sources.list sources.list.d/*.list 2> /dev/null | '
        f'sed -n "s/ {packages.suite} main/ {packages.backports} main/p" > backports.part; '
        "mv backports.part sources.list.d/backports.list"
    )
    command = ["mmdebstrap", "--mode=unshare", "--variant=minbase", "--format=tar"]
    command += [f"--aptopt={option}" for option in _APT_OPTIONS]
    command += [f"--dpkgopt={option}" for option in _DPKG_OPTIONS]
    command += [f"--setup-hook={backports}", f"--include={','.join(listed.packages)}"]
    if listed.newest_kernel:
        names = shlex.join(listed.newest_kernel)
        command.append(
            f'--customize-hook=chroot "$1" apt-get install --yes --no-install-recommends {names}'
        )
    return [*command, packages.suite, "-", *_mirrors(packages.suite)]


def _mirrors(suite: str) -> list[str]:
    """Lines of sources.list for the servers of the host's apt; none where it is not Debian's."""
    asked = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", asked, "Created-By: Packages"],
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    except OSError:
        return []
    servers = {line.rpartition("|")[0]: line.rpartition("|")[2] for line in listed}
    archive, security = servers.get("Debian|Debian"), servers.get("Debian|Debian-Security")
    if archive is None or not archive.startswith("http"):
        return []
    lines = [f"deb {archive} {name} main" for name in (suite, f"{suite}-updates")]
    if security is not None:
        lines.append(f"deb {security} {suite}-security main")
    return lines


def _unpack_while_making(command: list[str], root: Path, step: Step) -> None:
    unpack = ["tar", "--extract", "--exclude=./dev/*", "--directory", str(root)]
    unpack = [*as_root_prefix(), *unpack]
    pipeline = f"set -o pipefail; {shlex.join(command)} | {shlex.join(unpack)}"
    try:
        run_logged(["bash", "-c", pipeline], step, "making a Debian root")
    except BuildError as error:
        unreachable = _UNREACHABLE.search(str(error))
        if unreachable is None:
            raise
        raise MissingError(
            "no network: the first build fetches packages from Debian, and apt said: "
            f"{unreachable[0].strip()}"
        ) from error


def _install_pypi(names: list[str], folder: Path, root: Path, step: Step) -> None:
    """Install packages that are pure Python where Debian's interpreter looks for local ones."""
    wheels = folder / "pypi"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile"]
    run_logged([*pip, "--target", str(wheels), *names], step, "fetching packages from PyPI")
    for script in (wheels / "bin").glob("*"):
        _, _, rest = script.read_text().partition("\n")
        script.write_text(f"#!/usr/bin/python3\n{rest}")
    local = root / "usr/local"
    version = next((root / "usr/lib").glob("python3.*")).name
    copy = (
        f"mkdir -p {local}/lib/{version}/dist-packages {local}/bin && "
        f"cp -r {wheels}/bin/. {local}/bin/ && rm -r {wheels}/bin && "
        f"cp -r {wheels}/. {local}/lib/{version}/dist-packages/ && rm -r {wheels}"
    )
    run_logged([*as_root_prefix(), "sh", "-c", copy], step, "installing packages from PyPI")
