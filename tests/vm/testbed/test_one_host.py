"""What a guest is: CXL memory as a node of its own, host folders, commands."""

from __future__ import annotations

import re
import threading
import time

import pytest
from tiermem.testbed import Guest
from tiermem.testbed.errors import CommandFailedError, CommandTimeoutError

from tests.vm.guest_python import ENVIRONMENT


@pytest.fixture(params=["guest", "guest_lts"], ids=["newest", "lts"])
def either_guest(request: pytest.FixtureRequest) -> Guest:
    """A guest on each of the two kernels."""
    guest: Guest = request.getfixturevalue(request.param)
    return guest


def output(guest: Guest, script: str) -> str:
    """What a shell script prints."""
    return guest.check(["sh", "-ec", script]).stdout.strip()


def test_kernels(guest: Guest) -> None:
    major = int(output(guest, "uname -r").split(".")[0])
    assert major >= 7


def test_lts_kernel(guest_lts: Guest) -> None:
    assert output(guest_lts, "uname -r").startswith("6.12.")


def test_cxl_memory_is_a_node_without_cpus(either_guest: Guest) -> None:
    assert output(either_guest, "cat /sys/devices/system/node/has_memory") == "0-1"
    assert output(either_guest, "cat /sys/devices/system/node/node0/cpulist") == "0-1"
    assert output(either_guest, "cat /sys/devices/system/node/node1/cpulist") == ""
    total = output(either_guest, "grep MemTotal /sys/devices/system/node/node1/meminfo")
    assert int(total.split()[3]) == 2 << 20  # KiB


def test_cxl_memory_is_all_movable(either_guest: Guest) -> None:
    zones = output(either_guest, "cat /proc/zoneinfo")
    present = {
        (int(node), zone): int(pages)
        for node, zone, pages in re.findall(
            r"Node (\d+), zone +(\w+)\n(?:.*\n)*?        present +(\d+)", zones
        )
    }
    with_pages = {zone for (node, zone), pages in present.items() if node == 1 and pages}
    assert with_pages == {"Movable"}


def test_cxl_memory_is_a_tier_below_dram(either_guest: Guest) -> None:
    tiers = output(
        either_guest,
        "cd /sys/devices/virtual/memory_tiering; "
        'for t in memory_tier*; do echo "${t#memory_tier} $(cat $t/nodelist)"; done',
    )
    nodes = {nodes: int(tier) for tier, nodes in (line.split() for line in tiers.splitlines())}
    assert set(nodes) == {"0", "1"}
    assert nodes["1"] > nodes["0"]


def test_systemd_is_up_and_nothing_failed(either_guest: Guest) -> None:
    assert output(either_guest, "ps -o comm= 1") == "systemd"
    assert output(either_guest, "systemctl is-system-running") == "running"


def test_no_password_opens_the_guest(guest: Guest) -> None:
    root = output(guest, "grep ^root: /etc/shadow").split(":")[1]
    assert root in {"*", "!", "!*"}


def test_exec_gives_status_output_and_errors_apart(guest: Guest) -> None:
    done = guest.exec(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.status, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_exec_passes_input_environment_and_arguments_as_they_are(guest: Guest) -> None:
    done = guest.exec(
        ["sh", "-c", 'cat; printf "%s|" "$X" "$PWD" "$@"', "sh", "a b", "", "'\"$HOME"],
        stdin=b"from the host\n",
        env={"X": "1 = 2"},
        cwd="/tmp",
    )
    assert done.stdout == "from the host\n1 = 2|/tmp|a b||'\"$HOME|"


def test_exec_loses_nothing_of_a_large_output(guest: Guest) -> None:
    script = "head -c 17000000 /dev/zero | tr '\\0' x | dd bs=1M iflag=fullblock status=none"
    assert guest.check(["sh", "-c", script], timeout_s=240).stdout == "x" * 17_000_000


def test_exec_passes_output_that_is_no_text_as_it_is(guest: Guest) -> None:
    done = guest.exec(["sh", "-c", r"printf '\377\0\r\n'; printf '\200' >&2"])
    assert (done.output, done.errors) == (b"\xff\0\r\n", b"\x80")
    assert done.stdout == "\N{REPLACEMENT CHARACTER}\0\r\n"


def test_exec_tells_death_by_a_signal(guest: Guest) -> None:
    assert guest.exec(["sh", "-c", "kill -TERM $$"]).status == 128 + 15


def test_a_command_that_is_not_there(guest: Guest) -> None:
    done = guest.exec(["no-such-command"])
    assert done.status == 127
    assert "no-such-command" in done.stderr


def test_check_raises_with_the_error_output(guest: Guest) -> None:
    with pytest.raises(CommandFailedError, match=r"guest a: .*status 2: .*no-such-file"):
        guest.check(["ls", "/no-such-file"])


def test_a_timeout_kills_the_whole_session_and_tells_what_it_said(guest: Guest) -> None:
    """Also what has a process group of its own in it, as `timeout` makes for its command."""
    script = "echo so far; timeout 987654 sleep 987654 & sleep 987654"
    with pytest.raises(CommandTimeoutError, match="killed after 3 s; it had said: so far"):
        guest.exec(["sh", "-c", script], timeout_s=3)
    assert guest.exec(["pgrep", "-f", "^(timeout 987654 )?sleep 987654"]).status == 1


def test_commands_run_side_by_side(guest: Guest) -> None:
    """One waits for a file that the other makes."""
    waiter = "until [ -e /run/made ]; do sleep 0.1; done; rm /run/made; echo seen"
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(guest.check(["sh", "-c", waiter]).stdout))
    thread.start()
    time.sleep(0.5)
    guest.check(["touch", "/run/made"])
    thread.join()
    assert seen == ["seen\n"]


def test_a_paused_guests_clock_stands_still(guest: Guest) -> None:
    def guest_s() -> float:
        return float(guest.check(["cat", "/proc/uptime"]).stdout.split()[0])

    host_before = time.monotonic()
    guest_before = guest_s()
    guest.pause()
    time.sleep(5)
    guest.resume()
    guest_after = guest_s()
    host_after = time.monotonic()
    assert guest_after - guest_before < host_after - host_before - 4


def test_the_checkout_is_there_read_only(guest: Guest) -> None:
    guest.check(["test", "-f", "/opt/tiermem/src/pyproject.toml"])
    assert guest.exec(["touch", "/opt/tiermem/src/x"]).status != 0
    assert guest.exec(["touch", "/opt/tiermem/artifacts/x"]).status != 0


def test_the_output_folder_is_shared_both_ways(guest: Guest) -> None:
    guest.check(["sh", "-c", "echo from the guest > /opt/tiermem/out/up"])
    assert (guest.out_dir / "up").read_text() == "from the guest\n"
    (guest.out_dir / "down").write_text("from the host\n")
    assert guest.check(["cat", "/opt/tiermem/out/down"]).stdout == "from the host\n"


def test_the_tracker_device_is_memory_shared_with_the_host(guest: Guest) -> None:
    """Through PCI's own file: no driver is needed for the two to see the same bytes."""
    script = """
import glob, mmap, sys
for device in glob.glob("/sys/bus/pci/devices/*"):
    if open(device + "/device").read().strip() == "0x1110":
        open(device + "/enable", "w").write("1")
        with open(device + "/resource2", "r+b") as bar:
            memory = mmap.mmap(bar.fileno(), 2 << 20)
            print(len(memory))
            memory[-8:] = b"scribble"
"""
    assert guest.check(["python3", "-c", script]).stdout == f"{2 << 20}\n"
    assert guest.bar_path.read_bytes()[-8:] == b"scribble"


def test_tiermem_runs_in_the_guest(guest: Guest) -> None:
    done = guest.check(["bash", "-c", "tiermem --help"], timeout_s=400)
    assert "A CXL memory layer for Linux" in done.stdout


def test_modules_built_for_each_kernel_are_there(either_guest: Guest) -> None:
    found = output(either_guest, "ls /opt/tiermem/artifacts/modules/$(uname -r)")
    assert set(found.split()) == {
        f"tiermem_{name}.ko" for name in ("hpt", "image", "promote", "tlb")
    }


def test_damo_is_there(guest: Guest) -> None:
    assert guest.check(["damo", "version"], timeout_s=400).stdout.strip()[0].isdigit()


def test_the_checkouts_python_is_compiled_for_the_guest(guest: Guest) -> None:
    """Its processor is slow; and what has changed since is seen by its hash."""
    environment = {**ENVIRONMENT, "PYTHONVERBOSE": "1"}
    said = guest.check(["python3", "-c", "import tiermem.errors"], env=environment).stderr
    compiled = "/var/cache/tiermem-pycache/opt/tiermem/src/userspace/tiermem/errors.cpython-"
    assert f"code object from '{compiled}" in said
