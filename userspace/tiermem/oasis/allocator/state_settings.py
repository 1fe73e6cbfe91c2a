"""Where the allocator's state is, as a daemon's config says it: in the pool, or in etcd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tiermem.service.config import Settings

TIMEOUT_S = 0.3
"""Of each endpoint, so that one which is gone does not take a lease."""

Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/?$")]
PodName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class StateSettings(Settings):
    """`state = "pool"`, or `state = "etcd"` with endpoints of the cluster's members.

    pod: the same on all its hosts, another for each pod of a cluster. etcd_timeout_s: of each
    endpoint that is tried; all of them should be through within a lease. etcd_ca: who has
    signed the members' certificates, where it is none whom this host trusts anyway; etcd_cert
    and etcd_key: this host's own; etcd_user: with the password in the file's first line.
    """

    state: Literal["pool", "etcd"] = "pool"
    etcd: tuple[Endpoint, ...] = Field(default=(), max_length=16)
    pod: PodName = "pod"
    etcd_timeout_s: float = Field(default=TIMEOUT_S, gt=0, le=60)
    etcd_ca: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    etcd_user: UserName | None = None
    etcd_password_file: Path | None = None

    @model_validator(mode="after")
    def _endpoints_are_for_etcd(self) -> Self:
        if (self.state == "etcd") != bool(self.etcd):
            raise ValueError('state "etcd" needs endpoints in etcd, and state "pool" has none')
        return self

    @model_validator(mode="after")
    def _proofs_are_whole_and_not_shown_to_everybody(self) -> Self:
        if (self.etcd_cert is None) != (self.etcd_key is None):
            raise ValueError("etcd_cert and etcd_key belong together")
        if (self.etcd_user is None) != (self.etcd_password_file is None):
            raise ValueError("etcd_user and etcd_password_file belong together")
        names = ("etcd_ca", "etcd_cert", "etcd_user")
        needing = [name for name in names if getattr(self, name) is not None]
        if needing and not all(one.startswith("https:") for one in self.etcd):
            raise ValueError(f"{needing[0]} is for endpoints that all begin with https://")
        if needing and not self.etcd:
            raise ValueError(f'{needing[0]} is for state "etcd"')
        return self
