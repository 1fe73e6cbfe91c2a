"""Whether a vLLM that differs is noticed: on classes that lack something."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tiermem.errors import MissingError
from tiermem.serving.schedulers.vllm_interface import (
    COUNTED_BY,
    MANAGER_MEMBERS,
    MEMBERS,
    check_members,
    check_methods,
)


class Scheduler:
    """One whose schedule() takes nothing, as in older versions."""

    def schedule(self) -> None: ...


def made_scheduler() -> Any:
    """With all members, none of which does anything."""

    def count(**_: int) -> int:
        return 0

    parameters = ", ".join(COUNTED_BY)
    names: dict[str, Any] = {}
    exec(f"def get_num_blocks_to_allocate({parameters}): return 0", names)
    manager = SimpleNamespace(**dict.fromkeys(MANAGER_MEMBERS))
    manager.coordinator = SimpleNamespace(**names)
    made = SimpleNamespace(**dict.fromkeys(MEMBERS))
    made.kv_cache_manager = manager
    return made


def test_a_method_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingError) as caught:
        check_methods(Scheduler, {"_preempt_request": ()})
    assert "Scheduler._preempt_request is not there" in str(caught.value)
    assert "--scheduler-cls" in str(caught.value)


def test_a_parameter_that_is_not_there_is_named() -> None:
    check_methods(Scheduler, {"schedule": ()})
    with pytest.raises(MissingError, match=r"Scheduler\.schedule takes no throttle_prefills"):
        check_methods(Scheduler, {"schedule": ("throttle_prefills",)})


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_not_there_is_named(name: str) -> None:
    made = made_scheduler()
    check_members(made)
    if name == "kv_cache_manager":
        del made.kv_cache_manager.coordinator
        name = "coordinator"
    else:
        delattr(made, name)
    with pytest.raises(MissingError, match=f"{name} is not there"):
        check_members(made)


def test_how_blocks_are_counted_is_looked_at() -> None:
    made = made_scheduler()
    made.kv_cache_manager.coordinator.get_num_blocks_to_allocate = lambda request_id: 0
    with pytest.raises(MissingError, match="takes no num_tokens"):
        check_members(made)
