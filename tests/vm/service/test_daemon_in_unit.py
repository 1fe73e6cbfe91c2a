"""The real daemon as the real service: sandboxed, it finds its devices and moves pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tiermem.m5.switches import (
    DAMON_STAT,
    DEMOTION,
    NUMA_BALANCING,
    WATERMARK_BOOST,
    WATERMARK_SCALE,
)
from tiermem.testbed import Guest

from tests.vm.guest_python import run_json
from tests.vm.m5.loaded_modules import load_missing, unload_present
from tests.vm.m5.test_daemon import HOT, MOST_S, PATIENT
from tests.vm.service.test_unit import INSTALL, UNIT

SCENARIO = "tests/vm/service/in_guest/hot_pages.py"
SWITCHES = (DAMON_STAT, DEMOTION, NUMA_BALANCING, WATERMARK_BOOST, WATERMARK_SCALE)
_KEYS = "\\n".join(key.removeprefix("elector.").replace("=", " = ") for key in PATIENT)
CONFIG = "/run/tiermem-in-unit.toml"
START = f"""
printf '[elector]\\n{_KEYS}\\n' > {CONFIG}
cat > {UNIT}.d/config.conf <<END
[Service]
ExecStart=
ExecStart=/usr/local/bin/tiermem m5 run --config {CONFIG}
END
systemctl daemon-reload
systemctl start tiermem-m5
"""
STOP = f"""
systemctl stop tiermem-m5
rm -rf {UNIT} {UNIT}.d {CONFIG}
systemctl daemon-reload
"""


def switches(guest: Guest) -> list[str]:
    """The kernel's switches that the daemon may touch: each with its path, where it is there."""
    return guest.exec(["grep", "-s", "", *SWITCHES]).stdout.splitlines()


@pytest.fixture(scope="module")
def seen(guest: Guest) -> Iterator[dict[str, Any]]:
    """What the guest shows before the service starts, while it runs, and after it has ended."""
    load_missing(guest)
    guest.check(["bash", "-ec", INSTALL])
    try:
        before = switches(guest)
        guest.check(["bash", "-ec", START], timeout_s=600)
        hot = run_json(guest, SCENARIO, MOST_S)
        during = switches(guest)
        said = guest.check(["tiermem", "m5", "status", "--json"], timeout_s=300)
        status = json.loads(said.stdout)
        guest.check(["systemctl", "stop", "tiermem-m5"], timeout_s=120)
        shown = guest.check(["systemctl", "show", "tiermem-m5", "-p", "Result,ExecMainStatus"])
        yield {
            "hot": hot,
            "switches": [before, during, switches(guest)],
            "status": status,
            "ended": sorted(shown.stdout.split()),
        }
    finally:
        guest.exec(["bash", "-c", STOP], timeout_s=120)
        unload_present(guest)


def test_it_moves_hot_pages_with_the_device_and_the_module(seen: dict[str, Any]) -> None:
    status = seen["status"]
    assert (status["tracker"]["name"], status["promoter"]["name"]) == ("device", "module")
    assert seen["hot"]["before"] == {"1": HOT}
    assert seen["hot"]["after"].get("0", 0) >= 0.8 * HOT, status


def test_systemd_ends_it_and_the_kernel_is_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["ended"] == ["ExecMainStatus=0", "Result=success"]
    before, during, after = seen["switches"]
    assert during != before
    assert after == before
