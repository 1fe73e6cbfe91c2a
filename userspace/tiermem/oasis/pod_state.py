"""Where the hosts of a pod tell each other how they are: the one place that a config names."""

from __future__ import annotations

from typing import Protocol

from tiermem.layer.pool import Pool
from tiermem.oasis.allocator.courier_state import CourierState
from tiermem.oasis.allocator.etcd_access import read_access
from tiermem.oasis.allocator.etcd_state import EtcdState
from tiermem.oasis.allocator.member import State
from tiermem.oasis.pod_area import open_pod
from tiermem.oasis.settings import OasisSettings


class OpenState(State, Protocol):
    """None of its calls waits for anybody. trouble: since when it cannot be reached, and why;
    empty where it can. refused: what was found in it that no honest host writes."""

    @property
    def refused(self) -> int: ...

    @property
    def trouble(self) -> str: ...

    def descriptors(self) -> tuple[int, ...]:
        """Files of which one that can be read asks for a look; always the same ones."""

    def close(self) -> None:
        """Do not use it any more; before the pool is closed."""


def open_state(settings: OasisSettings, pool: Pool) -> OpenState:
    """Of this host's pod. TiermemError where it cannot be; etcd that does not answer is waited
    for beside."""
    if settings.state == "pool":
        return open_pod(pool, settings.host, settings.hosts)
    access = read_access(settings)
    return CourierState(
        settings.host,
        lambda: EtcdState(
            settings.etcd,
            settings.pod,
            settings.host,
            settings.hosts,
            timeout_s=settings.etcd_timeout_s,
            access=access,
        ),
    )
