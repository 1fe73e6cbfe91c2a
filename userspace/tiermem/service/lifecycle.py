"""Runs a daemon's main coroutine until a signal asks it to end.

SIGTERM and SIGINT cancel it, so that its `finally` blocks put the system back
as it was found; SIGHUP calls `reload`. Both are handled in the event loop, not
in the middle of a statement.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run_until_signalled(
    main: Coroutine[Any, Any, None], reload: Callable[[], None] | None = None
) -> None:
    """Run `main` to its end, or cancel it on SIGTERM or SIGINT and wait for its clean-up."""
    asyncio.run(_supervise(main, reload))


async def _supervise(main: Coroutine[Any, Any, None], reload: Callable[[], None] | None) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(main)
    asked_to_end = False

    def end() -> None:
        nonlocal asked_to_end
        if not asked_to_end:  # a second signal must not cut the clean-up short
            asked_to_end = True
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, end)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await task
    except asyncio.CancelledError:
        if not asked_to_end:
            raise
