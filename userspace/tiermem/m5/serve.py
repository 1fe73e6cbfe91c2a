"""Runs the daemon as a service: API, systemd notices, signals, a clean end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tiermem.errors import TiermemError
from tiermem.m5.daemon import Daemon
from tiermem.m5.routes import add_metrics, add_routes
from tiermem.m5.settings import M5Settings
from tiermem.service.api import LocalApi
from tiermem.service.lifecycle import run_until_signalled
from tiermem.service.metrics import Metrics
from tiermem.service.notify import Notifier

_log = logging.getLogger(__name__)


def serve(read_settings: Callable[[], M5Settings]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP asks `read_settings` again.

    It is to answer with all that the settings are made of, the command line too.
    """
    notifier = Notifier()
    daemon = Daemon(read_settings())
    run_until_signalled(_main(daemon, notifier), _reloader(daemon, notifier, read_settings))


async def _main(daemon: Daemon, notifier: Notifier) -> None:
    metrics = Metrics("m5")
    api = LocalApi(daemon.settings.socket, metrics)
    add_routes(api, daemon)
    add_metrics(metrics, daemon)
    # The socket's lock keeps a second daemon from touching the kernel's switches.
    await api.start()
    try:
        daemon.start()
        try:
            notifier.ready("tracking")
            beside = [
                asyncio.create_task(notifier.feed_watchdog()),
                asyncio.create_task(daemon.probes.run()),
            ]
            try:
                await daemon.run()
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        finally:
            notifier.stopping("giving the kernel's switches back")
            daemon.stop()
    finally:
        await api.stop()


def _reloader(
    daemon: Daemon, notifier: Notifier, read_settings: Callable[[], M5Settings]
) -> Callable[[], None]:
    def reload() -> None:
        notifier.reloading()
        try:
            fixed = daemon.reload(read_settings())
            if fixed:
                _log.warning("%s: needs a restart to take effect", ", ".join(fixed))
        except TiermemError as error:
            _log.error("%s; the old settings stay", error)
        notifier.ready("tracking")

    return reload
