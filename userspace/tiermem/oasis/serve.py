"""Runs oasisd as a service: API, systemd notices, signals, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os

from tiermem.oasis.daemon import OasisDaemon
from tiermem.oasis.figures import add_metrics
from tiermem.oasis.last_words import LastWords
from tiermem.oasis.routes import add_routes
from tiermem.oasis.settings import OasisSettings
from tiermem.service.api import LocalApi
from tiermem.service.lifecycle import run_until_signalled
from tiermem.service.metrics import Metrics
from tiermem.service.notify import Notifier


def serve(settings: OasisSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    # Before there is any other thread, for these to have it too. Who may not, waits.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, settings.nice)
    last_words = LastWords.prepare(settings.pool)
    run_until_signalled(_main(settings, Notifier(), last_words))
    last_words.end()


async def _main(settings: OasisSettings, notifier: Notifier, last_words: LastWords) -> None:
    metrics = Metrics("oasis")
    api = LocalApi(settings.socket, metrics)
    daemon = await asyncio.to_thread(OasisDaemon, settings, last_words)
    try:
        add_routes(api, daemon)
        add_metrics(metrics, daemon)
        await api.start()
        notifier.ready(f"host {settings.host} of {settings.pool}")
        watchdog = asyncio.create_task(notifier.feed_watchdog())
        try:
            await daemon.run()
        finally:
            watchdog.cancel()
            notifier.stopping("handing its NICs' instances on")
            await api.stop()
    finally:
        await asyncio.to_thread(daemon.stop)
