"""Images of functions, as the porter takes them and starts instances from them.

By cxlforkd here; criu.py does the same with CRIU, to compare with.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tiermem.cxlfork.express_client import AskedRestore
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.porter.instance import Instance, new_pipes
from tiermem.service.client import LocalClient

IMAGE_PREFIX = "porter/"


class Images(Protocol):
    """See the module. Everything may raise TiermemError."""

    async def known(self) -> list[str]:
        """Functions that have one, whoever took it."""

    async def take(self, name: str, pid: int) -> None:
        """Of a function's instance; it goes on."""

    async def remove(self, name: str) -> None:
        """Instances that came from it go on."""

    async def restore(self, name: str, policy: Policy) -> Instance:
        """A new instance, as the one was that the image is of."""


class ForkImages:
    """In the pool, called porter/NAME; instances share their pages there."""

    def __init__(self, socket: Path) -> None:
        self._client = LocalClient(socket, timeout_s=600)

    async def known(self) -> list[str]:
        """See Images."""
        images = await self._client.request("GET", "/v1/images")
        return [
            str(one["name"]).removeprefix(IMAGE_PREFIX)
            for one in images
            if one["name"].startswith(IMAGE_PREFIX) and one["state"] != "damaged"
        ]

    async def take(self, name: str, pid: int) -> None:
        """See Images."""
        body = {"pid": pid, "name": IMAGE_PREFIX + name}
        await self._client.request("POST", "/v1/checkpoint", body=body)

    async def remove(self, name: str) -> None:
        """See Images."""
        await self._client.request("POST", "/v1/remove", body={"name": IMAGE_PREFIX + name})

    async def restore(self, name: str, policy: Policy) -> Instance:
        """See Images."""
        with new_pipes() as (pipes, given):
            asked = AskedRestore(self._client.path, IMAGE_PREFIX + name, policy, given)
            clone = await asked.answered()

        def end() -> None:
            with suppress(ProcessLookupError):
                os.kill(int(clone["init_pid"]), signal.SIGKILL)

        instance = Instance(int(clone["pid"]), policy.value, end)
        await instance.connect(pipes)
        return instance
