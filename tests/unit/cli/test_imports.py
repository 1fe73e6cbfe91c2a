"""What a command line loads before it does anything: seconds, where a processor is slow."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tiermem.cli import fork, m5, oasis_options
from tiermem.cxlfork.settings import ForkSettings
from tiermem.m5.settings import M5Settings
from tiermem.oasis.settings import OasisSettings

HEAVY = ("aiohttp", "asyncio", "numpy", "prometheus_client", "pydantic", "pyroute2", "rich")
_LOADED = """
import importlib, sys
importlib.import_module(f"tiermem.cli.{sys.argv[1]}")
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""


@pytest.mark.parametrize("verb", ["main", "m5", "fork", "oasis"])
def test_who_asks_a_daemon_does_not_load_what_the_daemon_works_with(verb: str) -> None:
    command = [sys.executable, "-c", _LOADED, verb, *HEAVY]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


def test_a_pool_is_looked_at_without_what_configs_and_servers_need() -> None:
    command = [sys.executable, "-c", _LOADED, "pool", *(set(HEAVY) - {"numpy"})]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


def test_sockets_are_asked_where_daemons_listen_by_default() -> None:
    assert M5Settings().socket == m5.SOCKET
    assert ForkSettings().socket == fork.SOCKET
    assert OasisSettings().socket == oasis_options.SOCKET
