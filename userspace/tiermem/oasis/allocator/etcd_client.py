"""Transactions of an etcd cluster, by its HTTP/JSON gateway (/v3/kv/txn).

    with EtcdClient(("http://10.0.0.1:2379",), timeout_s=0.3) as etcd:
        etcd.transact(reads=[b"key"])

The endpoint that answered last is asked first. What is asked may have been done although it
failed: a caller that cannot bear it twice says under which condition it is to be done.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.oasis.allocator.etcd_access import ANYBODY, EtcdAccess
from tiermem.oasis.allocator.etcd_session import EtcdSession

_ROUTE = "/v3/kv/txn"


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
    """One cluster, by any of its endpoints; until `close`."""

    def __init__(
        self, endpoints: Sequence[str], timeout_s: float, access: EtcdAccess = ANYBODY
    ) -> None:
        """timeout_s: of each endpoint that is tried."""
        self._endpoints = list(endpoints)
        self._session = EtcdSession(timeout_s, access)

    def write(self, write: Write) -> Answer:
        """Under its condition; see Answer. Errors as of `EtcdSession.ask`, of the last endpoint."""
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
        self._session.close()

    def _transact(self, body: dict[str, Any]) -> Answer:
        failure: TiermemError = MissingError("etcd: no endpoint was given")
        for endpoint in list(self._endpoints):
            try:
                answer = _understood(endpoint, self._session.ask(endpoint, _ROUTE, body))
            except TiermemError as error:
                failure = error
            else:
                self._endpoints.remove(endpoint)
                self._endpoints.insert(0, endpoint)
                return answer
        raise failure

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
