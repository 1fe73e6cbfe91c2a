"""What vLLM loads in each of its processes, by the entry point `vllm.general_plugins`.

It makes `TieredKV` a KV connector that is known by name, so that users need not say where it
is; and keeps an engine's worker where the KV tiers need it. Neither matters to engines that
do not ask for it. A vLLM that differs is left as it is: those who name `TieredKV` there are
told what is missing, nobody else notices.
"""

from __future__ import annotations

import logging
from functools import wraps
from typing import Any

CONNECTOR = "TieredKV"
CONNECTOR_MODULE = "tiermem.serving.kv.vllm_connector"

log = logging.getLogger(__name__)


def register() -> None:
    """As often as vLLM likes, also twice in a process."""
    try:
        _register_connector()
        _keep_worker_here()
    except (ImportError, AttributeError, TypeError) as error:
        log.info("tiermem's KV tiers are not there: this vLLM differs (%s)", error)


def _register_connector() -> None:
    from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory

    try:
        KVConnectorFactory.register_connector(CONNECTOR, CONNECTOR_MODULE, CONNECTOR)
    except ValueError:
        return  # by the call before


def _keep_worker_here() -> None:
    """vLLM gives each worker on a CPU a process of its own, so as to bind its threads before
    they begin; with the KV tiers a single one has to be in the scheduler's."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    kind = type(current_platform)
    check = kind.check_and_update_config
    if hasattr(check, "__wrapped__"):
        return

    @wraps(check)
    def check_and_keep(vllm_config: Any) -> None:
        parallel = vllm_config.parallel_config
        before = parallel.distributed_executor_backend
        check(vllm_config)
        transfer = vllm_config.kv_transfer_config
        if before == "uni" and transfer is not None and transfer.kv_connector == CONNECTOR:
            parallel.distributed_executor_backend = before

    kind.check_and_update_config = staticmethod(check_and_keep)
