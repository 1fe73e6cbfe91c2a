"""Where the allocator's state is, as a daemon's config says it: in the pool, or in etcd."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tiermem.oasis.allocator.etcd_state import TIMEOUT_S
from tiermem.service.config import Settings

Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/?$")]
PodName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]


class StateSettings(Settings):
    """`state = "pool"`, or `state = "etcd"` with endpoints of the cluster's members.

    pod: the same on all its hosts, another for each pod of a cluster. etcd_timeout_s: of each
    endpoint that is tried; all of them should be through within a lease.
    """

    state: Literal["pool", "etcd"] = "pool"
    etcd: tuple[Endpoint, ...] = Field(default=(), max_length=16)
    pod: PodName = "pod"
    etcd_timeout_s: float = Field(default=TIMEOUT_S, gt=0, le=60)

    @model_validator(mode="after")
    def _endpoints_are_for_etcd(self) -> Self:
        if (self.state == "etcd") != bool(self.etcd):
            raise ValueError('state "etcd" needs endpoints in etcd, and state "pool" has none')
        return self
