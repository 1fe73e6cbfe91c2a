"""Transactions of an etcd cluster, by its HTTP/JSON gateway (/v3/kv/txn).

    with EtcdClient(("http://10.0.0.1:2379",), timeout_s=0.3) as etcd:
        etcd.transact(reads=[b"key"])

Called from any thread, also from one that runs an event loop, which waits meanwhile. The
endpoint that answered last is asked first. What is asked may have been done although it
failed: a caller that cannot bear it twice says under which condition it is to be done.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp

from tiermem.errors import DamagedError, MissingError, TiermemError, TimeoutExpiredError

_ROUTE = "/v3/kv/txn"
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Value:
    """Of a key. revision: another, higher one each time that it is written."""

    revision: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """Of a key, if it is still at `revision`; 0: if it is not there."""

    key: bytes
    data: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Answer:
    """is_written: the write was done. values: of the keys that were read, None where there is
    none; of the key to be written where it was not. revision: the cluster's, after it."""

    is_written: bool
    values: tuple[Value | None, ...]
    revision: int


class EtcdClient:
    """One cluster, by any of its endpoints; a thread of its own, until `close`."""

    def __init__(self, endpoints: Sequence[str], timeout_s: float) -> None:
        """timeout_s: of each endpoint that is tried."""
        self._endpoints, self._timeout_s = list(endpoints), timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session = self._wait(self._open())

    def write(self, write: Write) -> Answer:
        """Under its condition; see Answer. MissingError, TimeoutExpiredError, TiermemError."""
        key = _text(write.key)
        return self._transact(
            {
                "compare": [
                    {
                        "key": key,
                        "target": "MOD",
                        "result": "EQUAL",
                        "mod_revision": str(write.revision),
                    }
                ],
                "success": [{"request_put": {"key": key, "value": _text(write.data)}}],
                "failure": [{"request_range": {"key": key}}],
            }
        )

    def read(self, keys: Sequence[bytes]) -> Answer:
        """All at one moment, what was written before included. Errors as of `write`."""
        return self._transact({"success": [{"request_range": {"key": _text(key)}} for key in keys]})

    def close(self) -> None:
        """Do not use it any more."""
        self._wait(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s))

    def _wait(self, asked: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    def _transact(self, body: dict[str, Any]) -> Answer:
        failure: TiermemError = MissingError("etcd: no endpoint was given")
        for endpoint in list(self._endpoints):
            try:
                answer = _understood(endpoint, self._wait(self._ask(endpoint, body)))
            except TiermemError as error:
                failure = error
            else:
                self._endpoints.remove(endpoint)
                self._endpoints.insert(0, endpoint)
                return answer
        raise failure

    async def _ask(self, endpoint: str, body: dict[str, Any]) -> Any:
        try:
            async with self._session.post(endpoint.rstrip("/") + _ROUTE, json=body) as answer:
                content = await answer.json(content_type=None)
        except aiohttp.ClientConnectorError as error:
            why = os.strerror(error.os_error.errno or 0)
            raise MissingError(f"etcd at {endpoint}: {why}") from error
        except TimeoutError as error:
            raise TimeoutExpiredError(
                f"etcd at {endpoint}: no answer within {self._timeout_s:g} s"
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise TiermemError(
                f"etcd at {endpoint}: the answer is not understood: {error}"
            ) from error
        if answer.status != 200:
            said = content.get("error") if isinstance(content, dict) else None
            raise TiermemError(f"etcd at {endpoint}: {said or f'status {answer.status}'}")
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _understood(endpoint: str, content: Any) -> Answer:
    """DamagedError for what no etcd answers."""
    try:
        responses = content.get("responses", [])
        return Answer(
            any("response_put" in one for one in responses),
            tuple(_value(one["response_range"]) for one in responses if "response_range" in one),
            int(content["header"]["revision"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DamagedError(
            f"etcd at {endpoint}: the answer is not one of etcd: {error!r}"
        ) from None


def _value(response: Any) -> Value | None:
    for found in response.get("kvs", []):
        return Value(int(found["mod_revision"]), base64.b64decode(found.get("value", "")))
    return None
