"""vLLM's own scheduler and what belongs to it, once it has been looked at.

MissingError, of one sentence, where there is no vLLM or one whose scheduler differs.
"""

from __future__ import annotations

from tiermem.errors import MissingError
from tiermem.serving.schedulers.vllm_interface import METHODS, WRITTEN_FOR, check_methods

try:
    from vllm.v1.core.sched.interface import PauseState
    from vllm.v1.core.sched.request_queue import SchedulingPolicy
    from vllm.v1.core.sched.scheduler import Scheduler
except ImportError as error:
    raise MissingError(
        f"vLLM's scheduler cannot be imported ({error}): install vLLM {WRITTEN_FOR}"
    ) from error

check_methods(Scheduler, METHODS)

__all__ = ["PauseState", "Scheduler", "SchedulingPolicy"]
