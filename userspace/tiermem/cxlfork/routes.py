"""cxlforkd's local API and metrics.

GET  /v1/status                    pool, host, ghosts, totals
GET  /v1/images                    the images of the pool, and what is known of them
GET  /v1/image?name=N              one image: what is in it (inspect.py)
GET  /v1/clones                    restored processes that run
GET  /v1/progress?name=N           of a checkpoint under way
GET  /v1/wait?pid=N                answers when that clone has ended
POST /v1/checkpoint {"pid", "name", "close_sockets"?, "relisten"?, "close_fds"?}
POST /v1/restore {"name", "policy"?, "count"?, "stdio_of"?, "stdio_fds"?, "memory_MiB"?,
                  "cpus"?}         stdio_of: whose descriptors; [0, 1, 2] unless said.
                                   memory_MiB, cpus: the most that each may take
POST /v1/remove {"name"}
POST /v1/end {"pid"}
GET  /metrics                      Prometheus text
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.clones import Clone
from tiermem.cxlfork.daemon import ForkDaemon
from tiermem.cxlfork.express import OneRestore
from tiermem.cxlfork.host import null_stdio
from tiermem.cxlfork.inspect import describe, summary
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.process_fds import fd_of_process
from tiermem.errors import ConfigError
from tiermem.service.api import LocalApi
from tiermem.service.config import Settings, validate
from tiermem.service.metrics import Metrics

ANSWER_LIMIT_S = 3600.0
"""Large processes take long to check on a slow machine, and `wait` waits."""


class CheckpointRequest(Settings):
    """POST /v1/checkpoint."""

    pid: int
    name: str
    close_sockets: bool = False
    relisten: bool = False
    close_fds: tuple[int, ...] = ()

    def options(self) -> Options:
        """What the checkpoint is told."""
        return Options(frozenset(self.close_fds), self.close_sockets, self.relisten)


class RestoreRequest(OneRestore):
    """POST /v1/restore."""

    count: int = 1
    stdio_of: int | None = None
    stdio_fds: tuple[int, int, int] = (0, 1, 2)


class NameRequest(Settings):
    """POST /v1/remove."""

    name: str


class PidRequest(Settings):
    """POST /v1/end."""

    pid: int


def add_routes(api: LocalApi, daemon: ForkDaemon) -> None:
    """Answer the routes above from `daemon`."""
    _add_readers(api, daemon)

    async def post_checkpoint(body: Mapping[str, Any]) -> Any:
        request = validate(body, CheckpointRequest, "checkpoint")
        taken = await daemon.checkpoint(request.pid, request.name, request.options())
        return asdict(taken)

    async def post_restore(body: Mapping[str, Any]) -> Any:
        request = validate(body, RestoreRequest, "restore")
        if request.count < 1:
            raise ConfigError(f"restore: count = {request.count}: must be at least 1")
        policy = request.policy or Policy(daemon.settings.policy)
        with _stdio(request.stdio_of, request.stdio_fds) as stdio:
            clones = await daemon.restore(
                request.name, policy, request.count, stdio, request.limits()
            )
        return [_clone(one) for one in clones]

    async def post_remove(body: Mapping[str, Any]) -> Any:
        name = validate(body, NameRequest, "remove").name
        await asyncio.to_thread(daemon.host.store.remove, name)
        return {"name": name}

    async def post_end(body: Mapping[str, Any]) -> Any:
        pid = validate(body, PidRequest, "end").pid
        daemon.clones.find(pid).end()
        return {"pid": pid}

    api.post("/v1/checkpoint", post_checkpoint)
    api.post("/v1/restore", post_restore)
    api.post("/v1/remove", post_remove)
    api.post("/v1/end", post_end)


def _add_readers(api: LocalApi, daemon: ForkDaemon) -> None:
    async def get_status(_query: Mapping[str, str]) -> Any:
        return daemon.state()

    async def get_images(_query: Mapping[str, str]) -> Any:
        return [summary(held) for held in daemon.host.store.all()]

    async def get_image(query: Mapping[str, str]) -> Any:
        held = await asyncio.to_thread(daemon.host.image, _text(query, "name"))
        return describe(held)

    async def get_clones(_query: Mapping[str, str]) -> Any:
        return [_clone(one) for one in daemon.clones.all()]

    async def get_progress(query: Mapping[str, str]) -> Any:
        progress = daemon.under_way.get(_text(query, "name"))
        return None if progress is None else asdict(progress)

    async def get_wait(query: Mapping[str, str]) -> Any:
        pid = _text(query, "pid")
        if not pid.isdecimal():
            raise ConfigError(f"pid={pid}: must be a number")
        return {"status": await daemon.wait(int(pid))}

    api.get("/v1/status", get_status)
    api.get("/v1/images", get_images)
    api.get("/v1/image", get_image)
    api.get("/v1/clones", get_clones)
    api.get("/v1/progress", get_progress)
    api.get("/v1/wait", get_wait)


def add_metrics(metrics: Metrics, daemon: ForkDaemon) -> None:
    """What /metrics says beyond the process' own."""
    metrics.registry.register(_Totals(daemon))


class _Totals(Collector):
    def __init__(self, daemon: ForkDaemon) -> None:
        self._daemon = daemon

    def collect(self) -> Iterable[Metric]:
        totals, daemon = self._daemon.totals, self._daemon
        for name, summary_, value in (
            ("checkpoints", "Processes taken into images.", totals.checkpoints),
            ("restores", "Processes restored.", totals.restores),
            ("failures", "Checkpoints and restores that failed.", totals.failures),
            ("restore_seconds", "Time spent in restores.", totals.restore_ns / 1e9),
        ):
            yield CounterMetricFamily(f"tiermem_fork_{name}", summary_, value)
        for name, summary_, value in (
            ("clones", "Restored processes that run.", len(daemon.clones.all())),
            ("ghosts", "Empty containers ready.", daemon.host.ghosts.ready),
            ("images", "Images in the pool.", len(daemon.host.store.all())),
        ):
            yield GaugeMetricFamily(f"tiermem_fork_{name}", summary_, value)


@contextmanager
def _stdio(pid: int | None, numbers: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Those descriptors of a process, or of nobody."""
    with ExitStack() as stack:
        if pid is None:
            fds = null_stdio()
            for fd in fds:
                stack.callback(os.close, fd)
            yield fds
            return
        first, second, third = (
            stack.enter_context(fd_of_process(pid, number)) for number in numbers
        )
        yield first, second, third


def _clone(clone: Clone) -> dict[str, Any]:
    return {
        "pid": clone.pid,
        "init_pid": clone.init_pid,
        "image": clone.image,
        "policy": clone.policy,
        "started_ns": clone.started_ns,
        "phases_ns": clone.phases_ns,
        "memory_bytes": clone.cgroup.memory_bytes() if clone.cgroup else None,
    }


def _text(query: Mapping[str, str], key: str) -> str:
    if key not in query:
        raise ConfigError(f"{key}: is missing")
    return query[key]
