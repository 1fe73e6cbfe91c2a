"""The daemon's local API and metrics: what can be asked of it over its socket.

GET  /v1/status              everything `tiermem m5 status` shows
GET  /v1/config              the settings in force
GET  /v1/hot                 hot pages by process
GET  /v1/candidates          frames of the last rounds, with rate and verdict
GET  /v1/explain?pid=N       see explain.py; wait_s=0..8 (default 1) rounds are watched
POST /v1/set {"key":…,"value":…}
GET  /metrics                Prometheus text
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tiermem.errors import ConfigError
from tiermem.m5.daemon import Daemon
from tiermem.m5.explain import explain, read_frames
from tiermem.m5.hot_pages import HotPages
from tiermem.m5.observation import Verdict
from tiermem.m5.probe_metrics import ProbeCollector
from tiermem.m5.rounds import Round
from tiermem.m5.scope import leaves_out
from tiermem.m5.status import picture
from tiermem.service.api import LocalApi
from tiermem.service.metrics import Metrics

_WAIT_MAX_S = 8.0
_Answer = TypeVar("_Answer")


def add_routes(api: LocalApi, daemon: Daemon) -> None:
    """Answer the routes above from `daemon`."""
    hot = HotPages(daemon.tree)
    aside = _Aside()
    proc = daemon.tree.proc

    def rounds() -> list[Round]:
        # Copied where rounds are added; each of them is never changed again.
        return list(daemon.engine.rounds.recent)

    async def get_status(_query: Mapping[str, str]) -> Any:
        return picture(daemon)

    async def get_config(_query: Mapping[str, str]) -> Any:
        return daemon.settings.model_dump(mode="json")

    async def get_hot(_query: Mapping[str, str]) -> Any:
        remembered = rounds()
        return await aside.run(lambda: hot.by_process(remembered))

    async def get_candidates(query: Mapping[str, str]) -> Any:
        return _candidates(daemon, round(_number(query, "rounds", 1, 1, 64)))

    async def get_explain(query: Mapping[str, str]) -> Any:
        pid = round(_number(query, "pid", None, 1, 1 << 22))
        wait_s = _number(query, "wait_s", 1.0, 0, _WAIT_MAX_S)
        outside = leaves_out(pid, daemon.settings.scope, daemon.tree)
        frames = await aside.run(lambda: read_frames(pid, proc))
        await asyncio.sleep(wait_s)
        watched = rounds()
        return await aside.run(lambda: explain(pid, frames, watched, proc, outside))

    async def post_set(body: Mapping[str, Any]) -> Any:
        key, value = body.get("key"), body.get("value")
        if set(body) != {"key", "value"} or not isinstance(key, str) or not isinstance(value, str):
            raise ConfigError('set: the body must be {"key": "…", "value": "…"}, both strings')
        return daemon.change(key, value).model_dump(mode="json")

    api.get("/v1/status", get_status)
    api.get("/v1/config", get_config)
    api.get("/v1/hot", get_hot)
    api.get("/v1/candidates", get_candidates)
    api.get("/v1/explain", get_explain)
    api.post("/v1/set", post_set)


class _Aside:
    """One thread for reading page maps, which takes seconds where processes are big.

    Rounds and the watchdog go on meanwhile. One thread and not a pool: who asks
    often must not make the daemon read often. A semaphore would not do, for a
    request that ran out of time leaves its reading behind.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page-maps")

    async def run(self, question: Callable[[], _Answer]) -> _Answer:
        """The answer to `question`, asked when those before it are answered."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)


def add_metrics(metrics: Metrics, daemon: Daemon) -> None:
    """Metrics read off the daemon when they are scraped, so that rounds pay nothing for them."""
    metrics.registry.register(_DaemonCollector(daemon))
    metrics.registry.register(ProbeCollector(daemon.probes))


class _DaemonCollector(Collector):
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Everything, now."""
        totals = self._daemon.engine.rounds.totals
        for name, summary, value in (
            ("rounds", "Rounds made.", totals.rounds),
            ("candidates", "Hot pages considered.", totals.candidates),
            ("promoted_pages", "4 KiB pages moved to the fast tier.", totals.moved_pages),
            ("room_pages", "Pages that the kernel pushed down for them.", totals.room_pages),
            ("out_of_scope", "List entries outside the scope.", totals.out_of_scope),
            ("tracker_failures", "Times the tracker was lost.", totals.tracker_failures),
            ("promoter_failures", "Rounds that the promoter failed.", totals.promoter_failures),
            ("move_seconds", "Time spent making room and moving.", totals.move_ns / 1e9),
        ):
            yield CounterMetricFamily(f"tiermem_m5_{name}", summary, value=value)
        yield _by_label("verdicts", "Pages by the policy's verdict.", "verdict", totals.verdicts)
        yield _by_label(
            "results", "Pages by what the promoter made of them.", "result", totals.results
        )
        yield from self._gauges()

    def _gauges(self) -> Iterator[GaugeMetricFamily]:
        status = picture(self._daemon)
        for field, summary in (
            ("read_Bps", "Bytes read a second."),
            ("active_bytes", "Bytes on the LRU lists."),
            ("free_bytes", "Free bytes."),
        ):
            gauge = GaugeMetricFamily(f"tiermem_m5_tier_{field}", summary, labels=["tier"])
            for tier in ("fast", "slow"):
                value = status["tiers"][tier][field]
                if value is not None:
                    gauge.add_metric([tier], value)
            yield gauge
        yield GaugeMetricFamily(
            "tiermem_m5_tracking",
            "1 while the tracker answers.",
            value=int(not self._daemon.tracker_trouble),
        )


def _by_label(
    name: str, summary: str, label: str, counts: Mapping[str, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"tiermem_m5_{name}", summary, labels=[label])
    for key, value in counts.items():
        family.add_metric([key], value)
    return family


def _candidates(daemon: Daemon, count: int) -> dict[str, Any]:
    recent = list(daemon.engine.rounds.recent)[-count:]
    return {
        "verdicts": [verdict.name.lower() for verdict in Verdict],
        "rounds": [
            {
                "number": one.number,
                "pfns": one.pages.tolist(),
                "reads_per_s": one.decision.reads_per_s.round(1).tolist(),
                "verdicts": one.decision.verdicts.tolist(),
            }
            for one in recent
        ],
    }


def _number(
    query: Mapping[str, str], key: str, default: float | None, low: float, high: float
) -> float:
    """A number of the query within [low, high]; `default` None means that it must be given."""
    text = query.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ConfigError(f"{key} = {text!r}: must be a number from {low:g} to {high:g}")
    return value
