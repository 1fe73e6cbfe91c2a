"""The porter with cxlforkd: a warm function's image is taken, and instances come from it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiermem.cxlfork.porter.dispatcher import Answer, Dispatcher
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.starter import ImageStarter
from tiermem.layer.pool import create_pool

from tests.unit.cxlfork.fork_daemon import start_daemon, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other processes are root's to trace")

MIB = 1 << 20
FUNCTION = """
import os, random
table = [random.Random(n).random() for n in range(100_000)]
calls = 0

def handle(event):
    global calls
    calls += 1
    return [calls, sum(table), os.getpid()]
"""


def test_instances_come_from_the_image_of_a_warm_one(tmp_path: Path) -> None:
    """Each goes on from the call after which the image was taken, by itself."""
    pool, file = tmp_path / "pool", tmp_path / "f.py"
    create_pool(pool, hosts=1, entries=8, size=128 * MIB)
    file.write_text(FUNCTION)
    with ExitStack() as stack:
        _, client = start_daemon(stack, tmp_path, pool)
        settings = PorterSettings.model_validate(
            {
                "fork_socket": client.path,
                "functions": {"f": {"file": file}},
                "checkpoint_after": 4,
                "memory_MiB": 2000,
            }
        )

        async def main() -> list[Answer]:
            starter = ImageStarter(settings)
            await starter.learn_images()
            dispatcher = Dispatcher(settings, starter)
            try:
                first = [await dispatcher.call("f", None) for _ in range(4)]
                together = await asyncio.gather(*(dispatcher.call("f", None) for _ in range(3)))
                # Another porter, of this host or another, finds the image.
                other = ImageStarter(settings)
                await other.learn_images()
                second = Dispatcher(settings, other)
                try:
                    return [*first, *together, await second.call("f", None)]
                finally:
                    second.close()
            finally:
                dispatcher.close()

        answers = asyncio.run(main())
        assert [one.how for one in answers[:4]] == ["cold", "warm", "warm", "warm"]
        assert Counter(one.how for one in answers[4:]) == {"warm": 1, "mow": 3}
        assert [one.result[0] for one in answers] == [1, 2, 3, 4, 5, 5, 5, 5]
        assert len({one.result[1] for one in answers}) == 1
        # To itself, each is the process that was taken.
        assert len({one.result[2] for one in answers}) == 1
        until(lambda: client.get("/v1/clones") == [])


def test_without_a_daemon_calls_are_answered_by_cold_starts(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text("import sys\ndef handle(event):\n    return sys.version\n")
    settings = PorterSettings.model_validate(
        {
            "fork_socket": tmp_path / "none.sock",
            "functions": {"f": {"file": file}},
            "checkpoint_after": 1,
        }
    )

    async def main() -> list[str]:
        dispatcher = Dispatcher(settings, ImageStarter(settings))
        try:
            answers = [await dispatcher.call("f", None) for _ in range(2)]
        finally:
            dispatcher.close()
        assert answers[0].result == sys.version
        return [one.how for one in answers]

    assert asyncio.run(main()) == ["cold", "warm"]
