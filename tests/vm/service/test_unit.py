"""The systemd unit's sandbox, under real systemd: all that tiering needs, and nothing else.

The unit runs in_guest/sandboxed_daemon.py in the daemon's place, which is built
of the same parts and reports what it could and could not do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tiermem.testbed import Guest
from tiermem.testbed.guest_python import SOURCE

from tests.vm.guest_python import ENVIRONMENT
from tests.vm.unit_files import install_script, unit_file

PATIENCE_S = 300
UNIT = unit_file("tiermem-m5")
DAEMON = f"{SOURCE}/tests/vm/service/in_guest/sandboxed_daemon.py"
INSTALL = install_script("tiermem-m5")
START = f"""
setpriv --reuid 1000 --regid 1000 --clear-groups sleep 10000 </dev/null >/dev/null 2>&1 &
echo $! > /run/sandbox-victim
cat > {UNIT}.d/try.conf <<END
[Service]
Environment={" ".join(f"{key}={value}" for key, value in ENVIRONMENT.items())}
ExecStart=
ExecStart=/usr/bin/python3 {DAEMON} $!
END
systemctl daemon-reload
systemctl start tiermem-m5
"""
STOP = f"""
systemctl stop tiermem-m5
kill $(cat /run/sandbox-victim)
rm -rf {UNIT} {UNIT}.d /run/sandbox-victim /var/lib/tiermem/try
systemctl daemon-reload
"""
ASK = (
    "import json, sys; from pathlib import Path; from tiermem.service.client import LocalClient\n"
    "print(json.dumps(LocalClient(Path('/run/tiermem/m5.sock')).get('/tried')))"
)


@pytest.fixture(scope="module")
def unit(guest: Guest) -> Iterator[Guest]:
    """A guest in which the unit runs."""
    guest.check(["bash", "-ec", INSTALL])
    guest.check(["bash", "-ec", START], timeout_s=600)
    yield guest
    guest.exec(["bash", "-c", STOP], timeout_s=60)


@pytest.fixture(scope="module")
def answer(unit: Guest) -> dict[str, Any]:
    """What the service tells root over its socket."""
    done = unit.check(["python3", "-c", ASK], env=ENVIRONMENT, timeout_s=600)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_systemd_finds_nothing_wrong_with_it(unit: Guest) -> None:
    verified = unit.check(["systemd-analyze", "verify", UNIT], timeout_s=PATIENCE_S)
    assert verified.stderr + verified.stdout == ""
    # 10 is no protection at all; 30 means at most 3.0.
    security = ["systemd-analyze", "security", "--threshold=30", "tiermem-m5.service"]
    unit.check(security, timeout_s=PATIENCE_S)


def test_all_that_tiering_needs_is_allowed(answer: dict[str, Any]) -> None:
    needed = {name: said for name, said in answer["tried"].items() if not name.startswith("no:")}
    assert len(needed) >= 7
    assert set(needed.values()) == {"done"}, needed


def test_what_it_does_not_need_is_refused(answer: dict[str, Any]) -> None:
    forbidden = {name: said for name, said in answer["tried"].items() if name.startswith("no:")}
    assert len(forbidden) >= 6
    assert [name for name, said in forbidden.items() if said == "done"] == []


def test_systemd_is_told_and_feeds_the_watchdog(unit: Guest, answer: dict[str, Any]) -> None:
    assert answer["watchdog_s"] == 30.0
    shown = unit.check(["systemctl", "show", "tiermem-m5", "-p", "StatusText,ActiveState"]).stdout
    assert "StatusText=serving" in shown
    assert "ActiveState=active" in shown


def test_the_socket_is_for_root_and_the_group(unit: Guest) -> None:
    shown = unit.check(["stat", "-c", "%A %U %G", "/run/tiermem", "/run/tiermem/m5.sock"]).stdout
    assert shown.splitlines() == ["drwxr-x--- root tiermem", "srw-rw---- root tiermem"]


@pytest.mark.parametrize(
    ("groups", "method", "expected"),
    [
        ("--clear-groups", "get('/tried')", "needs root or membership of group tiermem"),
        ("--groups tiermem", "get('/tried')['watchdog_s']", "30.0"),
        ("--groups tiermem", "post('/set', {})", "user 1000 may only read"),
    ],
)
def test_who_may_read_and_who_may_change(
    unit: Guest, groups: str, method: str, expected: str
) -> None:
    ask = (
        "from pathlib import Path; from tiermem.service.client import LocalClient\n"
        "from tiermem.errors import TiermemError\n"
        f"try: print(LocalClient(Path('/run/tiermem/m5.sock')).{method})\n"
        "except TiermemError as error: print(error)\n"
    )
    command = ["setpriv", "--reuid", "1000", "--regid", "1000", *groups.split()]
    done = unit.check([*command, "python3", "-c", ask], env=ENVIRONMENT, timeout_s=600)
    assert expected in done.stdout


def test_it_ends_cleanly_and_takes_its_socket_away(unit: Guest, answer: dict[str, Any]) -> None:
    assert answer
    unit.check(["systemctl", "stop", "tiermem-m5"], timeout_s=PATIENCE_S)
    shown = unit.check(["systemctl", "show", "tiermem-m5", "-p", "Result,ExecMainStatus"]).stdout
    assert sorted(shown.split()) == ["ExecMainStatus=0", "Result=success"]
    assert unit.exec(["test", "-e", "/run/tiermem/m5.sock"]).status == 1
