"""`tiermem doctor`: what this host lacks for tiering and the rest, and what changes it.

Exit status: 0 all is well, 1 warnings only, 2 something keeps tiering from working.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from tiermem.cli.shown import new_console, new_table
from tiermem.service.doctor import Facts, Finding, Status, examine, read_facts

FORK_CONFIG = Path("/etc/tiermem/fork.toml")
OASIS_CONFIG = Path("/etc/tiermem/oasis.toml")

app = typer.Typer()

EXIT_STATUS = {Status.OK: 0, Status.WARN: 1, Status.FAIL: 2}
COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


@app.callback(invoke_without_command=True)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Explain what this host lacks for tiering, fork, pooled NICs and serving, and what to do.

    Exit status: 0 all is well, 1 warnings only, 2 something keeps tiering from working.
    """
    findings = examine(look_at_host())
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
    raise typer.Exit(max(EXIT_STATUS[finding.status] for finding in findings))


def look_at_host() -> Facts:
    """All that the checks judge."""
    facts = read_facts()
    if not facts.has_native:
        return facts
    # The pool is read by native code.
    from tiermem.cxlfork.readiness import read_fork_facts
    from tiermem.oasis.readiness import read_oasis_facts
    from tiermem.serving.readiness import has_vllm, read_serving_facts

    facts = dataclasses.replace(
        facts, fork=read_fork_facts(FORK_CONFIG), oasis=read_oasis_facts(OASIS_CONFIG)
    )
    if not has_vllm():
        return facts
    with new_console(stderr=True).status("asking vLLM which plugins it loads"):
        return dataclasses.replace(facts, serving=read_serving_facts())


def _print(findings: list[Finding]) -> None:
    console = new_console()
    table = new_table(box=None, pad_edge=False)
    for heading in ("check", "status", "seen"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        status = f"[{COLOURS[finding.status]}]{finding.status}[/]"
        table.add_row(finding.name, status, finding.seen.replace("[", "\\["))
    console.print(table)
    for finding in findings:
        if finding.status is not Status.OK:
            console.print(f"\n[{COLOURS[finding.status]}]{finding.name}[/]: ", end="")
            # A command must be copied as it is: no wrapping, no markup.
            console.print(finding.why, markup=False, highlight=False, soft_wrap=True)
            console.print(f"    {finding.fix}", markup=False, highlight=False, soft_wrap=True)
