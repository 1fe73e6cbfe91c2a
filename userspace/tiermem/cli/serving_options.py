"""`tiermem serving options`: checks what the KV tiers are to have, and writes vLLM's options."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from tiermem.cli.daemon_options import JsonOption
from tiermem.errors import ConfigError
from tiermem.serving.kv.eviction import PolicyName
from tiermem.serving.kv.host_check import Remark, check_host
from tiermem.serving.kv.settings import read_settings
from tiermem.serving.vllm_options import SchedulerName, VllmOptions

Size = str


def options(
    *,
    memory: Annotated[
        Size, typer.Option(metavar="SIZE", help="Memory for KV: 8GiB, 500MB, or bytes.")
    ],
    tier: Annotated[
        str | None,
        typer.Option(help="Whose memory: fastest (the default), slowest, or a tier's place."),
    ] = None,
    node: Annotated[
        list[int] | None, typer.Option(help="NUMA nodes instead of a tier. Repeatable.")
    ] = None,
    emulated_bandwidth: Annotated[
        int | None,
        typer.Option(metavar="B/S", help="Emulate a tier: bytes a second that copies are held to."),
    ] = None,
    emulated_latency: Annotated[
        int, typer.Option(metavar="NS", help="Emulated tier: ns that each copy takes at least.")
    ] = 0,
    cxl: Annotated[
        Size | None,
        typer.Option(metavar="SIZE", help="So much of the slowest tier below that memory."),
    ] = None,
    ssd: Annotated[
        Path | None, typer.Option(help="File on SSD behind both; one an engine.")
    ] = None,
    ssd_capacity: Annotated[
        Size | None, typer.Option(metavar="SIZE", help="How large it may become.")
    ] = None,
    pool: Annotated[
        Path | None, typer.Option(help="Pool that hosts share (`tiermem pool create`).")
    ] = None,
    pool_host: Annotated[int, typer.Option(min=0, help="This host's number in it.")] = 0,
    pool_capacity: Annotated[
        Size | None, typer.Option(metavar="SIZE", help="How much of it this engine may take.")
    ] = None,
    eviction: Annotated[
        PolicyName | None, typer.Option(help="Which block makes room: lru by default.")
    ] = None,
    restore: Annotated[
        Literal["auto", "always"] | None,
        typer.Option(help="auto (the default): restore or compute, whichever is faster."),
    ] = None,
    scheduler: Annotated[
        SchedulerName,
        typer.Option(
            help="flashgen keeps KV memory full, prefill-only is for requests of one token, "
            "vllm is its own."
        ),
    ] = "flashgen",
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Whether this host has all that; --no-check for another one."
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check on this host what vLLM's KV tiers are to have, and print the options for it.

    DRAM, CXL memory for what leaves it, and SSD behind both:
    tiermem serving options --memory 8GiB --cxl 64GiB --ssd /var/cache/kv --ssd-capacity 1TiB

    CXL memory alone:                tiermem serving options --memory 64GiB --tier slowest

    For a script:                    tiermem serving options --memory 8GiB --json

    --emulated-bandwidth and --emulated-latency are of the CXL memory where there is some, else
    of the memory.

    Standard output has the options alone, to be put behind `vllm serve MODEL`; what was seen
    goes to standard error. Nothing is taken or made yet. It is checked whether that memory is
    free now, whether the file can be written and is none of something else or in use, and
    whether the pool opens; an error names what is wrong (exit status 2, 3 or 6).
    """
    emulated = _emulated(emulated_bandwidth, emulated_latency)
    extra = _given(
        memory=_given(
            capacity=memory,
            tier=int(tier) if tier and tier.isdecimal() else tier,
            nodes=node or None,
            emulated=None if cxl else emulated,
        ),
        cxl=_given(capacity=cxl, emulated=emulated) if cxl else None,
        ssd=_place("ssd", ssd, ssd_capacity),
        pool=_place("pool", pool, pool_capacity, host=pool_host),
        eviction=eviction,
        restore=restore,
    )
    settings = read_settings(extra)
    remarks = check_host(settings) if check else []
    made = VllmOptions(extra, scheduler)
    if as_json:
        print(json.dumps(_as_json(made, remarks), indent=2))
        return
    _tell(remarks)
    print(_shell_lines(made.arguments()))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _emulated(bandwidth_Bps: int | None, latency_ns: int) -> dict[str, int] | None:  # noqa: N803
    if bandwidth_Bps is None:
        if latency_ns:
            raise ConfigError("--emulated-latency: needs --emulated-bandwidth beside it")
        return None
    return {"bandwidth_Bps": bandwidth_Bps, "latency_ns": latency_ns}


def _place(
    name: str, path: Path | None, capacity: Size | None, **more: Any
) -> dict[str, Any] | None:
    if path is None and capacity is None:
        return None
    if path is None or capacity is None:
        there, lacking = (f"{name}-capacity", name) if path is None else (name, f"{name}-capacity")
        raise ConfigError(f"--{there}: needs --{lacking} beside it")
    return {"path": str(path.absolute()), "capacity": capacity, **more}


def _tell(remarks: list[Remark]) -> None:
    console = Console(stderr=True)
    for remark in remarks:
        text = Text.assemble(f"{remark.tier:7}", (remark.text, "" if remark.is_well else "yellow"))
        console.print(text, soft_wrap=True, highlight=False)


def _as_json(made: VllmOptions, remarks: list[Remark]) -> dict[str, Any]:
    return {
        "arguments": made.arguments(),
        "kv_transfer_config": made.kv_transfer_config,
        "remarks": [asdict(remark) for remark in remarks],
    }


def _shell_lines(arguments: list[str]) -> str:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return " \\\n".join(f"{name} {shlex.quote(value)}" for name, value in pairs)
