"""What each endpoint of a config's etcd says when it is asked; for `tiermem doctor`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tiermem.errors import TiermemError
from tiermem.oasis.allocator.etcd_access import EtcdAccess, read_access
from tiermem.oasis.allocator.etcd_client import EtcdClient
from tiermem.oasis.allocator.etcd_session import EtcdSession
from tiermem.oasis.allocator.etcd_state import hosts_key
from tiermem.oasis.allocator.state_settings import StateSettings

OLDEST = (3, 4)
"""The first with the gateway at /v3."""
_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class EtcdAnswers:
    """versions: by the endpoints that answered. troubles: a line each."""

    versions: dict[str, str]
    troubles: tuple[str, ...]


def probe_etcd(settings: StateSettings) -> EtcdAnswers:
    """Ask each member for its version and whether it has a majority, and any of them for a key
    of the pod."""
    try:
        access = read_access(settings)
    except TiermemError as error:
        return EtcdAnswers({}, (str(error),))
    versions: dict[str, str] = {}
    troubles: list[str] = []
    session = EtcdSession(_TIMEOUT_S, replace(access, user=None))
    for endpoint in settings.etcd:
        try:
            versions[endpoint] = _version(session, endpoint)
            # It answers with an error where it has no majority.
            session.ask(endpoint, "/health")
        except TiermemError as error:
            troubles.append(str(error))
    session.close()
    if not troubles:
        try:
            _read(settings, access)
        except TiermemError as error:
            troubles.append(str(error))
    return EtcdAnswers(versions, tuple(troubles))


def _version(session: EtcdSession, endpoint: str) -> str:
    answer = session.ask(endpoint, "/version")
    said = str(answer.get("etcdserver")) if isinstance(answer, dict) else ""
    version = re.match(r"(\d+)\.(\d+)\.", said)
    if version is None:
        raise TiermemError(f"{endpoint}: is no etcd")
    if (int(version[1]), int(version[2])) < OLDEST:
        raise TiermemError(f"etcd at {endpoint}: is of version {said}; 3.4 or later is needed")
    return said


def _read(settings: StateSettings, access: EtcdAccess) -> None:
    with EtcdClient(settings.etcd, _TIMEOUT_S, access) as client:
        client.read([hosts_key(settings.pod)])
