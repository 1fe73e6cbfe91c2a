"""The porter as an HTTP service: calls come in, go to an instance here or on another host.

POST /invoke/NAME    body: the event, JSON; answers {"result", "how", "latency_ms"}
GET  /functions      each function's instances, policy, latencies
GET  /metrics        Prometheus text

A call that finds no room here goes to the peers, in their order, unless it came from
one; where none has room it waits here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import numpy as np
from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tiermem.cxlfork.porter.dispatcher import Answer, BusyError, Dispatcher, Function
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.starter import ImageStarter
from tiermem.errors import ConfigError, TiermemError, TimeoutExpiredError
from tiermem.service.metrics import Metrics

SPILLED = "X-Tiermem-Spilled"
EVENT_BYTES_MAX = 16 << 20
_TICK_S = 1.0
_log = logging.getLogger(__name__)


class Porter:
    """Built from settings; `run` until cancelled."""

    def __init__(self, settings: PorterSettings) -> None:
        self.settings = settings
        self.starter = ImageStarter(settings)
        self.dispatcher = Dispatcher(settings, self.starter)
        self.metrics = Metrics("porter")
        self.metrics.registry.register(_Collector(self.dispatcher))
        self.spilled = 0
        self._session: aiohttp.ClientSession | None = None

    async def run(self, started: asyncio.Event | None = None) -> None:
        """Serve for ever. TiermemError where it cannot listen, or cxlforkd is missing."""
        await self.starter.learn_images()
        host, port = _address(self.settings.listen)
        app = web.Application(client_max_size=EVENT_BYTES_MAX)
        app.router.add_post("/invoke/{name}", self._invoke)
        app.router.add_get("/functions", self._functions)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._session = aiohttp.ClientSession()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise TiermemError(f"listen = {self.settings.listen}: {error.strerror}") from error
            if started is not None:
                started.set()
            while True:
                await asyncio.sleep(_TICK_S)
                self.dispatcher.end_idle()
        finally:
            await self._session.close()
            await runner.cleanup()
            self.dispatcher.close()

    async def _invoke(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            event = await request.json()
        except ValueError:
            return _failure("the body must be JSON", 400)
        try:
            answer = await self._call(name, event, is_spilled=SPILLED in request.headers)
        except TiermemError as error:
            return _failure(str(error), self._status_of(error, name))
        if isinstance(answer, web.Response):
            return answer
        latency_ms = round(answer.latency_s * 1e3, 3)
        return web.json_response(
            {"result": answer.result, "how": answer.how, "latency_ms": latency_ms}
        )

    def _status_of(self, error: TiermemError, name: str) -> int:
        if name not in self.dispatcher.functions:
            return 404
        if isinstance(error, BusyError):
            return 503
        return 504 if isinstance(error, TimeoutExpiredError) else 500

    async def _call(self, name: str, event: Any, *, is_spilled: bool) -> Answer | web.Response:
        may_spill = bool(self.settings.peers) and not is_spilled
        try:
            return await self.dispatcher.call(
                name, event, may_wait=not may_spill and not is_spilled
            )
        except BusyError:
            if not may_spill:
                raise
        for peer in self.settings.peers:
            spilled = await self._ask(peer, name, event)
            if spilled is not None:
                self.spilled += 1
                return spilled
        return await self.dispatcher.call(name, event)

    async def _ask(self, peer: str, name: str, event: Any) -> web.Response | None:
        """A peer's answer; None where it has no room either, or does not answer."""
        assert self._session is not None
        url = f"{peer.rstrip('/')}/invoke/{name}"
        timeout = aiohttp.ClientTimeout(total=self.settings.functions[name].timeout_s)
        try:
            async with self._session.post(
                url, json=event, headers={SPILLED: "1"}, timeout=timeout
            ) as answer:
                if answer.status in (404, 503):
                    return None
                return web.json_response(await answer.json(), status=answer.status)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning("peer %s: %s", peer, error)
            return None

    async def _functions(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {name: _picture(one) for name, one in self.dispatcher.functions.items()}
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self.metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})


def _picture(function: Function) -> dict[str, Any]:
    latencies_ms = np.array(function.latencies_s) * 1e3
    p50, p99 = np.percentile(latencies_ms, (50, 99)) if len(latencies_ms) else (None, None)
    return {
        "file": str(function.settings.file),
        "policy": function.chooser.policy.value,
        "instances": function.instances,
        "idle": len(function.idle),
        "waiting": len(function.waiting),
        "calls": function.calls,
        "starts": function.starts,
        "p50_ms": p50,
        "p99_ms": p99,
    }


class _Collector:
    """What /metrics says of the functions."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def collect(self) -> list[Any]:
        calls = CounterMetricFamily("tiermem_porter_calls", "Calls answered.", labels=["function"])
        starts = CounterMetricFamily(
            "tiermem_porter_starts", "Instances started.", labels=["function", "how"]
        )
        running = GaugeMetricFamily(
            "tiermem_porter_instances", "Instances that run.", labels=["function"]
        )
        for name, one in self._dispatcher.functions.items():
            calls.add_metric([name], one.calls)
            running.add_metric([name], one.instances)
            for how, count in one.starts.items():
                starts.add_metric([name, how], count)
        memory = GaugeMetricFamily("tiermem_porter_local_bytes", "Local memory of all instances.")
        memory.add_metric([], self._dispatcher.used_bytes)
        return [calls, starts, running, memory]


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"listen = {listen!r}: must be HOST:PORT")
    return host.strip("[]"), int(port)


def _failure(message: str, status: int) -> web.Response:
    return web.json_response({"error": message}, status=status)
