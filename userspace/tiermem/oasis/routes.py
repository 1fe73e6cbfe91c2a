"""oasisd's local API.

GET  /v1/status                    this daemon, and who leads the pod
GET  /v1/ls                        devices and instances of the pod
GET  /v1/instance?name=N           one of this host's
GET  /v1/slices                    of this host's SSDs: whose they are
POST /v1/attach {"namespace", "name"?, "mac"?, "mtu"?, "expected"?}
POST /v1/attach {"kind": "ssd", "size", "name"?, "iops"?, "io_timeout_s"?}
POST /v1/detach {"instance", "is_forced"?}
POST /v1/forget-slice {"device", "instance", "id"}
POST /v1/move   {"instance", "device"}     device null: wherever the allocator puts it
POST /v1/drain  {"device", "undo"?}
GET  /metrics                      Prometheus text

What changes something is answered when it is decided, not when it is done: an instance that
was attached or moved is asked for until it `is_ready`. Only what takes away is done by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from tiermem.errors import ConfigError, TimeoutExpiredError
from tiermem.oasis import requests
from tiermem.oasis.daemon import OasisDaemon
from tiermem.oasis.listing import describe, listing, slices, status
from tiermem.service.api import LocalApi
from tiermem.service.config import validate

Result = TypeVar("Result")
_PATIENCE_S = 8.0
"""Less than the API has for an answer."""


async def _done(work: Future[None], what: str) -> None:
    """TimeoutExpiredError where it goes on for longer."""
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(work)), _PATIENCE_S)
    except TimeoutError:
        raise TimeoutExpiredError(f"{what}: is still being done after {_PATIENCE_S:g} s") from None


def add_routes(api: LocalApi, daemon: OasisDaemon) -> None:
    """Answer the routes above from `daemon`."""

    async def ask(what: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(daemon.control.call(what))

    async def get_status(_query: Mapping[str, str]) -> Any:
        return await ask(lambda: status(daemon))

    async def get_ls(_query: Mapping[str, str]) -> Any:
        return await ask(lambda: listing(daemon))

    async def get_instance(query: Mapping[str, str]) -> Any:
        if "name" not in query:
            raise ConfigError("instance: name: is missing")
        return await ask(lambda: describe(daemon.find(query["name"])))

    async def post_attach(body: Mapping[str, Any]) -> Any:
        request: requests.AttachSsd | requests.AttachNic
        if body.get("kind") == "ssd":
            request = validate(body, requests.AttachSsd, "attach")
        else:
            request = validate(body, requests.AttachNic, "attach")
        return await ask(lambda: describe(requests.attach(daemon, request)))

    async def post_detach(body: Mapping[str, Any]) -> Any:
        request = validate(body, requests.DetachInstance, "detach")
        await _done(await ask(lambda: requests.detach(daemon, request)), request.instance)
        return {"instance": request.instance}

    async def get_slices(_query: Mapping[str, str]) -> Any:
        return await ask(lambda: slices(daemon))

    async def post_forget(body: Mapping[str, Any]) -> Any:
        request = validate(body, requests.ForgetSlice, "forget-slice")
        await _done(await ask(lambda: requests.forget_slice(daemon, request)), request.id)
        return request.model_dump(mode="json")

    async def post_move(body: Mapping[str, Any]) -> Any:
        request = validate(body, requests.MoveInstance, "move")
        return await ask(lambda: describe(requests.move_to(daemon, request)))

    async def post_drain(body: Mapping[str, Any]) -> Any:
        request = validate(body, requests.DrainDevice, "drain")
        staying = await ask(lambda: requests.drain(daemon, request))
        return {**request.model_dump(mode="json"), "slices": staying}

    api.get("/v1/status", get_status)
    api.get("/v1/ls", get_ls)
    api.get("/v1/instance", get_instance)
    api.get("/v1/slices", get_slices)
    api.post("/v1/forget-slice", post_forget)
    api.post("/v1/attach", post_attach)
    api.post("/v1/detach", post_detach)
    api.post("/v1/move", post_move)
    api.post("/v1/drain", post_drain)
