"""Whether the plugins load in the vLLM beside tiermem: `python -m tiermem.serving.vllm_probe`.

It imports vLLM, which takes seconds and prints what it likes; so it is run as a process of
its own. Its last line is JSON: by plugin what is wrong with it, empty where it loads.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

_TIERS = "KV tiers"
_MOST_S = 120.0


def probe_plugins() -> dict[str, str]:
    """By plugin, one line; empty where it loads."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            capture_output=True,
            text=True,
            timeout=_MOST_S,
        )
    except subprocess.TimeoutExpired:
        return {_TIERS: f"vLLM was not imported after {_MOST_S:.0f} s"}
    try:
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.splitlines() or [f"ended with status {done.returncode}"]
        return {_TIERS: f"vLLM cannot be asked: {lines[-1]}"}
    return found


def _load_tiers() -> None:
    plugins = import_module("vllm.plugins")
    factory = import_module("vllm.distributed.kv_transfer.kv_connector.factory")
    plugins.load_general_plugins()
    factory.KVConnectorFactory.get_connector_class_by_name("TieredKV")


def _load_scheduler(name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module("tiermem.serving"), name)


_PLUGINS: dict[str, Callable[[], Any]] = {
    _TIERS: _load_tiers,
    "FlashGen-Sched": _load_scheduler("FlashGenScheduler"),
    "PrefillOnly's scheduler": _load_scheduler("PrefillOnlyScheduler"),
}


def _trouble(load: Callable[[], Any]) -> str:
    try:
        load()
    except Exception as error:
        return (str(error) or repr(error)).splitlines()[0]
    return ""


if __name__ == "__main__":
    print(json.dumps({name: _trouble(load) for name, load in _PLUGINS.items()}))
