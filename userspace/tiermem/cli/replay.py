"""`tiermem replay`: try a policy on an address trace, in seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tiermem.cli.shown import new_console
from tiermem.errors import ConfigError
from tiermem.m5.settings import M5Settings
from tiermem.native.models import memsys_defaults
from tiermem.replay.contenders import BUILT_IN, find_contender
from tiermem.replay.patterns import PATTERNS, Pattern, PatternSettings
from tiermem.replay.report import Outcome, to_json, to_table
from tiermem.replay.runner import MachineSettings
from tiermem.replay.sweep import Job, parse_changes, plan, run_jobs
from tiermem.replay.trace import Trace, open_recording, write_recording
from tiermem.service.config import load

app = typer.Typer(add_completion=False)
_DEFAULTS = PatternSettings()
_DEFAULT_PATTERN = "zipf"
_TABLE_WIDTH = 110  # a narrower terminal folds lines rather than numbers
_PATTERN, _MACHINE, _SWEEP = "Synthetic trace", "Machine", "Policies"


def _parameters(options: list[str]) -> dict[str, int]:
    """The memory system's parameters with `--memsys NAME=VALUE` applied."""
    parameters = memsys_defaults()
    for option in options:
        name, _, value = option.partition("=")
        if name not in parameters or not value.isdecimal():
            raise ConfigError(
                f"--memsys {option}: must be NAME=NUMBER, NAME one of {', '.join(parameters)}"
            )
        parameters[name] = int(value)
    return parameters


def _open(recording: Path | None, synthetic: str | None, settings: PatternSettings) -> Trace:
    if recording is None:
        return Pattern(synthetic or _DEFAULT_PATTERN, settings)
    if synthetic is not None:
        raise ConfigError("replay: give either a TRACE file or --synthetic PATTERN, not both")
    opened = open_recording(recording)
    if opened.dropped:
        print(
            f"tiermem: {recording}: the recorder dropped {opened.dropped} accesses "
            f"beside the {opened.records} records: what is replayed is not the whole",
            file=sys.stderr,
        )
    return opened


@app.command()
def replay(  # noqa: PLR0917 (a command line)
    trace: Annotated[Path | None, typer.Argument(help="A recording (docs/replay.md).")] = None,
    synthetic: Annotated[
        str | None,
        typer.Option(
            help=f"A made-up trace: {', '.join(PATTERNS)}; {_DEFAULT_PATTERN} without a TRACE.",
            rich_help_panel=_PATTERN,
        ),
    ] = None,
    records: Annotated[
        int, typer.Option(help="Accesses.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.records,
    pages: Annotated[
        int, typer.Option(help="Footprint in 4 KiB pages.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.pages,
    lines: Annotated[
        int, typer.Option(help="Lines used of each page.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.lines,
    gap: Annotated[
        int, typer.Option(help="Instructions per access.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.gap,
    write_share: Annotated[
        float, typer.Option(help="Share of writes.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.write_share,
    skew: Annotated[
        float, typer.Option(help="Exponent of zipf.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.skew,
    hot_share: Annotated[
        float, typer.Option(help="Hot set: share of pages.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.hot_share,
    hot_weight: Annotated[
        float, typer.Option(help="Hot set: share of accesses.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.hot_weight,
    moves: Annotated[
        int, typer.Option(help="How often the hot set moves.", rich_help_panel=_PATTERN)
    ] = _DEFAULTS.moves,
    seed: Annotated[int, typer.Option(help="Of the trace and of the trackers' hashes.")] = 1,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(BUILT_IN)}, or module:Class. Repeatable.", rich_help_panel=_SWEEP
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="All built-in policies.", rich_help_panel=_SWEEP)
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="An m5.toml to start from.", rich_help_panel=_SWEEP)
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE[,VALUE…] of m5.toml; all combinations.", rich_help_panel=_SWEEP
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Replays at a time.", rich_help_panel=_SWEEP)] = 1,
    dram_share: Annotated[
        float, typer.Option(help="DRAM as a share of the footprint.", rich_help_panel=_MACHINE)
    ] = 0.25,
    dram_pages: Annotated[
        int | None, typer.Option(help="DRAM in pages instead.", rich_help_panel=_MACHINE)
    ] = None,
    warmup: Annotated[
        float, typer.Option(help="Share of the trace not measured.", rich_help_panel=_MACHINE)
    ] = 0.25,
    copy_instructions: Annotated[
        int, typer.Option(help="Kernel work a page moved.", rich_help_panel=_MACHINE)
    ] = 12_000,
    memsys: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of defaults.toml. Repeatable.", rich_help_panel=_MACHINE),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the trace as a recording, and stop.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Run an address trace through trackers, memory model and M5's policy.

    All policies on a made-up trace: tiermem replay --synthetic scan --compare

    A policy of your own:            tiermem replay --policy none --policy my_policies:HottestFirst

    A setting's values side by side: tiermem replay --set elector.payback_s=5,20,60
    """
    settings = PatternSettings(
        pages=pages,
        records=records,
        seed=seed,
        write_share=write_share,
        gap=gap,
        lines=lines,
        skew=skew,
        hot_share=hot_share,
        hot_weight=hot_weight,
        moves=moves,
    )
    source = _open(trace, synthetic, settings)
    if save is not None:
        written = write_recording(save, source)
        new_console(stderr=True).print(f"{save}: {written:,} records", highlight=False)
        return
    machine = MachineSettings(
        memsys=_parameters(memsys or []),
        dram_share=dram_share,
        dram_pages=dram_pages,
        copy_instructions=copy_instructions,
        warmup=warmup,
        seed=seed,
    )
    names = list(BUILT_IN) if compare else (policy or ["m5-hpt+hwt"])
    plans = plan(
        [find_contender(name) for name in names],
        M5Settings() if config is None else load(config, M5Settings),
        parse_changes(change or []),
    )
    outcomes = _run(source, machine, plans, jobs)
    if as_json:
        json.dump(to_json(outcomes, source, machine), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console = new_console()
        console.width = max(console.width, _TABLE_WIDTH)
        console.print(to_table(outcomes, source, machine))


def _run(source: Trace, machine: MachineSettings, plans: list[Job], workers: int) -> list[Outcome]:
    from rich.progress import Progress

    with Progress(console=new_console(stderr=True), transient=True) as bar:
        tasks: list[Any] = [
            bar.add_task(" ".join([job.contender.name, *map("=".join, job.changes)]), total=None)
            for job in plans
        ]

        def tell(number: int, done: int) -> None:
            bar.update(tasks[number], completed=done, total=source.records)

        return list(run_jobs(plans, source, machine, workers, tell))
