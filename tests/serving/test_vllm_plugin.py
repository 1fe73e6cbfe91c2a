"""What vLLM's processes load by tiermem's entry point, and that nothing changes for others."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest


def test_the_entry_point_is_installed() -> None:
    """`make .venv-vllm/.installed` brings an older installation up to date."""
    (found,) = entry_points(group="vllm.general_plugins", name="tiermem")
    assert found.value == "tiermem.serving.vllm_plugin:register"


def test_it_loads_nothing_that_vllm_does_not() -> None:
    """The factory, which it registers with, is part of every engine."""
    code = (
        "import sys, vllm.v1.core.sched.scheduler\n"
        "before = set(sys.modules)\n"
        "from tiermem.serving import vllm_plugin\n"
        "vllm_plugin.register(); vllm_plugin.register()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (
        "['tiermem', 'tiermem.serving', 'tiermem.serving.vllm_plugin']"
    )


def test_the_connector_is_known_by_its_name() -> None:
    from tiermem.serving import vllm_plugin
    from tiermem.serving.kv.vllm_connector import TieredKV
    from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory

    vllm_plugin.register()
    assert KVConnectorFactory.get_connector_class_by_name("TieredKV") is TieredKV


def test_schedulers_have_short_names() -> None:
    from tiermem.serving.schedulers.vllm_flashgen import FlashGenScheduler
    from tiermem.serving.schedulers.vllm_prefill_only import PrefillOnlyScheduler
    from tiermem.serving.vllm_options import SCHEDULERS
    from vllm.utils.import_utils import resolve_obj_by_qualname

    found = [resolve_obj_by_qualname(name) for name in SCHEDULERS.values()]
    assert found == [FlashGenScheduler, PrefillOnlyScheduler]


@pytest.mark.parametrize(
    ("connector", "executor", "then"),
    [
        ("TieredKV", "uni", "uni"),
        (None, "uni", "mp"),
        ("ExampleConnector", "uni", "mp"),
        ("TieredKV", "mp", "mp"),
    ],
)
def test_only_engines_with_the_tiers_keep_their_worker(
    monkeypatch: pytest.MonkeyPatch, connector: str | None, executor: str, then: str
) -> None:
    """vLLM's platform says `mp` for CPUs wherever the engine is not in the user's own process."""
    from tiermem.serving import vllm_plugin
    from vllm.config import KVTransferConfig
    from vllm.engine.arg_utils import EngineArgs

    from bench.smollm2 import model_folder

    vllm_plugin.register()
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    transfer: Any = connector and KVTransferConfig(kv_connector=connector, kv_role="kv_both")
    config = EngineArgs(
        str(model_folder("float32")),
        kv_transfer_config=transfer,
        distributed_executor_backend=executor,
    ).create_engine_config()
    assert config.parallel_config.distributed_executor_backend == then


def test_a_vllm_that_differs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiermem.serving import vllm_plugin

    monkeypatch.setitem(
        sys.modules,
        "vllm.distributed.kv_transfer.kv_connector.factory",
        SimpleNamespace(KVConnectorFactory=object()),
    )
    vllm_plugin.register()
