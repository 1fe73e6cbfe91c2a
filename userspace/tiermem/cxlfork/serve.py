"""Runs cxlforkd as a service: API, systemd notices, signals, a clean end."""

from __future__ import annotations

import asyncio

from tiermem.cxlfork.daemon import ForkDaemon
from tiermem.cxlfork.express import Express
from tiermem.cxlfork.routes import ANSWER_LIMIT_S, add_metrics, add_routes
from tiermem.cxlfork.settings import ForkSettings
from tiermem.service.api import LocalApi
from tiermem.service.lifecycle import run_until_signalled
from tiermem.service.metrics import Metrics
from tiermem.service.notify import Notifier


def serve(settings: ForkSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    run_until_signalled(_main(settings, Notifier()))


async def _main(settings: ForkSettings, notifier: Notifier) -> None:
    metrics = Metrics("fork")
    api = LocalApi(settings.socket, metrics, answer_limit_s=ANSWER_LIMIT_S)
    daemon = await asyncio.to_thread(ForkDaemon, settings)
    try:
        add_routes(api, daemon)
        add_metrics(metrics, daemon)
        await api.start()
        express = Express(daemon)
        try:
            express.start()
            notifier.ready(f"host {settings.host} of {settings.pool}")
            watchdog = asyncio.create_task(notifier.feed_watchdog())
            try:
                await daemon.run()
            finally:
                watchdog.cancel()
                notifier.stopping("letting go of the images")
        finally:
            await asyncio.to_thread(express.stop)
            await api.stop()
    finally:
        daemon.stop()
