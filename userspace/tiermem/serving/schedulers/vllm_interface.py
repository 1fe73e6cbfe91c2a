"""What the schedulers here use of vLLM's own, and whether the vLLM that is installed has it.

vLLM does not call its scheduler's interface public, so it is looked at before anything is
built on it: a version that differs is an error that says where, not a wrong schedule.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from tiermem.errors import MissingError

WRITTEN_FOR = "0.32"
# Methods, and the parameters that calls from here name or that overrides here take.
METHODS = {
    "schedule": ("throttle_prefills",),
    "update_from_output": ("scheduler_output", "model_runner_output"),
    "_preempt_request": ("request", "timestamp", "drop_stale_output"),
    "_request_blocks_can_be_freed": ("request",),
    "_request_remaining_blocks": ("request",),
    "_is_blocked_waiting_status": ("status",),
    "_holds_kv_blocks": ("request",),
}
MEMBERS = (
    "waiting",
    "kv_holding_waiting",
    "finished_recving_kv_req_ids",
    "connector",
    "running",
    "policy",
    "requests",
    "kv_cache_config",
    "kv_cache_manager",
    "max_model_len",
    "max_num_active_reqs",
    "num_waiting_for_streaming_input",
    "pause_state",
    "prev_step_scheduled_req_ids",
    "requires_kv_delivery",
    "scheduler_config",
)
MANAGER_MEMBERS = ("block_pool", "coordinator", "get_blocks", "get_computed_blocks")
COUNTED_BY = (
    "request_id",
    "num_tokens",
    "new_computed_blocks",
    "num_encoder_tokens",
    "total_computed_tokens",
    "num_local_computed_tokens",
    "num_tokens_main_model",
    "apply_admission_cap",
    "prefill_end",
)


def check_methods(kind: type[Any], methods: dict[str, tuple[str, ...]]) -> None:
    """MissingError where a method is not there, or does not take what it is called with."""
    for name, parameters in methods.items():
        method = getattr(kind, name, None)
        if method is None:
            raise _differs(f"{kind.__name__}.{name} is not there")
        _check_parameters(f"{kind.__name__}.{name}", method, parameters)


def check_members(scheduler: Any) -> None:
    """The same of a scheduler that has been made, of its members and its KV memory's."""
    _check_there("Scheduler", scheduler, MEMBERS)
    _check_there("KVCacheManager", scheduler.kv_cache_manager, MANAGER_MEMBERS)
    count = scheduler.kv_cache_manager.coordinator.get_num_blocks_to_allocate
    _check_parameters("KVCacheCoordinator.get_num_blocks_to_allocate", count, COUNTED_BY)


def _check_there(kind: str, one: Any, names: Iterable[str]) -> None:
    for name in names:
        if not hasattr(one, name):
            raise _differs(f"{kind}.{name} is not there")


def _check_parameters(name: str, method: Any, needed: Iterable[str]) -> None:
    for parameter in needed:
        if parameter not in inspect.signature(method).parameters:
            raise _differs(f"{name} takes no {parameter}")


def _differs(what: str) -> MissingError:
    return MissingError(
        f"{what} in the vLLM that is installed ({_version()}), whose scheduler differs from the "
        f"one of {WRITTEN_FOR} that this was written for: install that, or leave out "
        "--scheduler-cls"
    )


def _version() -> str:
    try:
        return str(import_module("vllm").__version__)
    except (ImportError, AttributeError):
        return "of no known version"
