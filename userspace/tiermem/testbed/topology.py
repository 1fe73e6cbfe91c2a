"""Topologies: which hosts a pod has, how large, and what joins them. TOML in, models out."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from tiermem.errors import ConfigError

TOPOLOGIES = Path(__file__).parent / "topologies"

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_WINDOW_GRAIN = 256 << 20
_DRAM_MIN = 256 << 20
_NVME_GRAIN = 1 << 20


def parse_size(value: object) -> int:
    """Bytes of "768M", "2G" or a plain number; ValueError says what is allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(i?B)?", str(value).strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{value!r} is not a size such as 768M or 2G")
    return int(match[1]) * _UNITS[match[2].upper()]


Bytes = Annotated[int, BeforeValidator(parse_size)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Host(_Model):
    """One machine. Sizes are in bytes; nvme: of its NVMe drive, 0 where it has none.
    nics: how many it has on the segment of the pod, without addresses."""

    cpus: int = Field(default=2, ge=1, le=64)
    dram: Bytes = 1 << 30
    cxl: Bytes = 2 << 30
    cxl_use: Literal["system-ram", "devdax", "none"] = "system-ram"
    nvme: Bytes = 0
    nics: int = Field(default=0, ge=0, le=8)

    @model_validator(mode="after")
    def _sizes_that_the_machine_can_have(self) -> Host:
        if self.dram < _DRAM_MIN:
            raise ValueError(f"dram must be at least {_DRAM_MIN >> 20}M")
        if self.dram % (2 << 20):
            raise ValueError("dram must be a multiple of 2M")
        if self.cxl <= 0 or self.cxl % _WINDOW_GRAIN:
            raise ValueError("cxl must be a multiple of 256M, the grain of CXL windows")
        if self.nvme < 0 or self.nvme % _NVME_GRAIN:
            raise ValueError("nvme must be a multiple of 1M, or 0 for no drive")
        return self


class Network(_Model):
    """A network between all hosts of the pod."""

    address: ipaddress.IPv4Network

    def address_of(self, number: int) -> ipaddress.IPv4Interface:
        """Address and prefix of the host with this number, counted from 0."""
        return ipaddress.IPv4Interface(f"{self.address[number + 1]}/{self.address.prefixlen}")


class Topology(_Model):
    """A pod: hosts by name, and what they share."""

    name: str
    hosts: dict[str, Host] = Field(min_length=1)
    shared_cxl: bool = False
    network: Network | None = None

    @model_validator(mode="after")
    def _hosts_that_fit_together(self) -> Topology:
        for name in self.hosts:
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", name):
                raise ValueError(f"host name {name!r}: small letters, digits and '-', 16 at most")
        if self.network is not None and len(self.hosts) != 2:
            raise ValueError(f"a network joins two hosts, and there are {len(self.hosts)}")
        if self.network is not None and self.nics:
            raise ValueError("a pod has a network, or hosts with nics: not both")
        if self.shared_cxl:
            if len({host.cxl for host in self.hosts.values()}) > 1:
                raise ValueError("hosts that share one CXL memory must give it the same size")
            if any(host.cxl_use == "system-ram" for host in self.hosts.values()):
                raise ValueError("shared CXL memory cannot be system-ram: two kernels would own it")
        return self

    @property
    def nics(self) -> int:
        """Those of all hosts."""
        return sum(host.nics for host in self.hosts.values())


def topology_names() -> list[str]:
    """The topologies that come with the testbed."""
    return sorted(file.stem for file in TOPOLOGIES.glob("*.toml"))


def load_topology(name: str | Path, **settings: object) -> Topology:
    """A topology by name, or from a TOML file, with settings changed in every host.

    settings: fields of Host (cpus, dram, cxl, cxl_use, nvme, nics), for example dram="768M".
    Raises ConfigError, naming file, key and what is allowed.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = TOPOLOGIES / f"{name}.toml"
        if not path.is_file():
            allowed = ", ".join(topology_names())
            raise ConfigError(f"no topology {str(name)!r}: there are {allowed}, or a .toml file")
    try:
        tree = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    _apply(tree, settings)
    try:
        return Topology.model_validate({"name": path.stem, **tree})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _apply(tree: dict[str, Any], settings: dict[str, object]) -> None:
    for key in settings:
        if key not in Host.model_fields:
            allowed = ", ".join(Host.model_fields)
            raise ConfigError(f"a host has no setting {key!r}; allowed: {allowed}")
    hosts = tree.get("hosts")
    if isinstance(hosts, dict):
        for host in hosts.values():
            if isinstance(host, dict):
                host.update(settings)


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{where}: {text}" if where else text)
    return "; ".join(problems)
