"""Steps of the build that need neither network nor QEMU: errors, lists, roots."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.testbed import debian, namespace
from tiermem.testbed.artifacts import plugin_parameters
from tiermem.testbed.build import default_checkout
from tiermem.testbed.debian import read_packages
from tiermem.testbed.errors import BuildError
from tiermem.testbed.image import kernel_releases
from tiermem.testbed.progress import Progress, run_logged
from tiermem.testbed.qemu import qemu_in_root


def test_the_package_lists_name_no_server_and_nothing_twice() -> None:
    packages = read_packages()
    for listed in (packages.qemu, packages.guest):
        assert len(set(listed.packages)) == len(listed.packages)
        assert not [name for name in listed.packages if "://" in name]
    assert all("==" in name for name in packages.guest.pypi)


def test_a_command_that_fails_shows_its_output() -> None:
    with (
        Progress(quiet=True).step("modules") as step,
        pytest.raises(
            BuildError, match=r"building modules failed \(status 2\):\n  oops.c:1: error"
        ),
    ):
        run_logged(["sh", "-c", "echo oops.c:1: error >&2; exit 2"], step, "building modules")


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Progress().step("kernel modules for [7.3]"):
        pass
    said = capfd.readouterr().err.splitlines()
    assert said == [
        "testbed: kernel modules for [7.3] ...",
        "testbed: kernel modules for [7.3]: 0 s",
    ]


def test_kernels_are_told_apart_by_number_not_by_spelling(tmp_path: Path) -> None:
    for release in ("6.12.99+deb13-amd64", "6.12.107+deb13-amd64", "10.0.1-amd64", "7.3.4-amd64"):
        (tmp_path / "usr/lib/modules" / release).mkdir(parents=True)
    assert kernel_releases(tmp_path) == {"newest": "10.0.1-amd64", "lts": "6.12.107+deb13-amd64"}


def test_a_root_without_the_lts_kernel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/modules/7.3.4-amd64").mkdir(parents=True)
    with pytest.raises(
        BuildError, match=r"should hold kernel 6\.12 and a newer one; it has 7\.3\.4"
    ):
        kernel_releases(tmp_path)


def test_a_root_whose_qemu_does_not_run_is_an_error(tmp_path: Path) -> None:
    loader = tmp_path / "usr/lib64/ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text("#!/bin/sh\necho cannot open shared object >&2\nexit 127\n")
    loader.chmod(0o755)
    with pytest.raises(MissingError, match="does not run or tells no version: cannot open shared"):
        qemu_in_root(tmp_path)


def test_plugin_parameters_are_the_models_defaults_with_changes() -> None:
    parameters = plugin_parameters(default_checkout(), {"llc_ways": 8})
    assert parameters["llc_ways"] == "8"
    assert parameters["ps_per_instruction"] == "250"
    with pytest.raises(ConfigError, match=r"no parameter 'llc_wais'; .*defaults.toml lists them"):
        plugin_parameters(default_checkout(), {"llc_wais": 8})


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a name space of its own: root only")
def test_a_command_in_a_root_sees_its_binds_and_leaves_no_mount(tmp_path: Path) -> None:
    root, work = tmp_path / "root", tmp_path / "work folder"
    for name in ("dev", "proc", "tmp", "mnt", "usr", "lib", "lib64", "bin"):
        (root / name).mkdir(parents=True)
    work.mkdir()
    binds = {work: "/mnt"} | {Path(f"/{n}"): f"/{n}" for n in ("usr", "lib", "lib64", "bin")}
    script = 'echo "$WORD" > /mnt/made; test -c /dev/null; test -d /proc/self'
    command = namespace.chroot_command(root, ["sh", "-ec", script], binds, {"WORD": "a b"})
    subprocess.run(command, check=True)
    assert (work / "made").read_text() == "a b\n"
    assert str(root) not in Path("/proc/self/mounts").read_text()


def test_an_ordinary_user_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "is_root", lambda: False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingError, match="newuidmap is missing: install the package uidmap"):
        namespace.as_root_prefix()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a name space of its own: root only")
def test_what_needs_root_finds_roots_programs_with_an_ordinary_users_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    script = "command -v chroot && command -v mke2fs && command -v mount"
    subprocess.run([*namespace.as_root_prefix(), "sh", "-c", script], check=True)


def programs(folder: Path, **scripts: str) -> str:
    """A PATH of its own with a shell script for each name, before the host's programs."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("root", "said", "remedy"),
    [
        (
            False,
            'unshare: no line matching user "me" in /etc/subuid: Success',
            r'\(unshare: no line matching user "me" in /etc/subuid\): .*usermod --add-subuids \d+',
        ),
        (False, "unshare: unshare failed: Operation not permitted", "allow user namespaces .*root"),
        (True, "unshare: unshare failed: Operation not permitted", "container mount"),
    ],
    ids=["no range of ids", "no user namespaces", "root without rights"],
)
def test_rights_that_are_missing_are_told_in_one_sentence_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool, said: str, remedy: str
) -> None:
    refuse = f"echo usage >&2; echo '{said}' >&2; exit 1"
    path = programs(tmp_path, unshare=refuse, newuidmap="", newgidmap="", mmdebstrap="", mke2fs="")
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(namespace, "is_root", lambda: root)
    with pytest.raises(MissingError, match=remedy) as caught:
        debian.guest_root(Progress(quiet=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("there", "missing"),
    [({}, "mmdebstrap"), ({"mmdebstrap": ""}, "mke2fs is missing: install the package e2fsprogs")],
)
def test_programs_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, str], missing: str
) -> None:
    programs(tmp_path, **there)
    monkeypatch.setattr(debian, "admin_path", lambda: str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingError, match=missing):
        debian.guest_root(Progress(quiet=True))
