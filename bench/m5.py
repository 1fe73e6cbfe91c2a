"""The page-tiering benchmark: `python -m bench.m5` (`make bench-m5`, QUICK=1).

Every workload under every policy, in the testbed, in modelled time. Prints the
table, writes bench/out/m5.json and bench/out/m5.png, and exits with status 1
where something could not be measured. docs/benchmarks.md says what is measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.testbed.progress import Progress

from bench import catalog
from bench.accuracy import access_count_ratio
from bench.benchmark_parts import is_quick
from bench.campaign import Campaign, default_guests, run_all
from bench.costs import plugin_and_replay_figures
from bench.figures import Row, figures, row
from bench.finished_runs import FinishedRuns, sources_identity
from bench.guest.spec import IDENTIFY, MEASURE, RunSpec
from bench.programs import build_graph, build_programs
from bench.report import environment, print_table, rows_as_json
from bench.result_file import CHECKOUT, OUT, write_json
from bench.session import Measured

WORK = OUT / "work"
# What quick mode leaves out is said in the JSON and under the table.
QUICK_WORKLOADS = ("redis-b", "hotset", "kvscan")
QUICK_POLICIES = ("none", "numab", "damon", catalog.M5)
QUICK_ACCURACY = (("redis-b", catalog.M5),)
JUDGEABLE = ("numab", "damon", "m5-hpt", "m5-hwt", "m5-hpt+hwt")
# The kernel's two and the default nominator; the other two by --judge.
JUDGED = ("numab", "damon", catalog.M5)


def plan(
    mode: catalog.Mode,
    workloads: Sequence[str],
    policies: Sequence[str],
    seeds: Sequence[int],
    *,
    judged: Sequence[str] = (),
) -> list[RunSpec]:
    """All runs, workload by workload; accuracy is judged on the first seed.

    judged: policies whose accuracy is wanted on every workload; left out, those of
    JUDGED in full mode, and little in quick mode.
    """
    everywhere = judged or (JUDGED if mode == "full" else ())
    specs: list[RunSpec] = []
    for name in workloads:
        workload = catalog.WORKLOADS[name]
        for seed in seeds:
            for policy in policies:
                chosen = catalog.POLICIES[policy]
                specs.append(catalog.run_spec(workload, chosen, seed, mode))
        for policy in policies:
            if policy in everywhere or (not judged and (name, policy) in QUICK_ACCURACY):
                chosen = catalog.POLICIES[policy]
                specs.append(catalog.run_spec(workload, chosen, seeds[0], mode, IDENTIFY))
    return specs


def accuracy_of(measured: Measured) -> float | None:
    """The access-count ratio of an identification run."""
    assert measured.pac is not None
    notes = measured.result.notes
    return access_count_ratio(
        measured.result.hot_pfns, measured.pac, notes["slow_first_frame"], notes["slow_pages"]
    )


def summarise(measured: Sequence[Measured]) -> list[Row]:
    """Rows in the catalogue's order."""
    rows = []
    for workload in catalog.WORKLOADS:
        runs = [one for one in measured if one.result.workload == workload]
        timed = [one.result for one in runs if one.result.purpose == MEASURE]
        judged = {one.result.policy: one for one in runs if one.result.purpose == IDENTIFY}
        none = [run for run in timed if run.policy == "none"]
        for policy in catalog.POLICIES:
            mine = [run for run in timed if run.policy == policy]
            if mine:
                accuracy = accuracy_of(judged[policy]) if policy in judged else None
                rows.append(row(mine, none, accuracy))
    return rows


def run_as_json(measured: Measured) -> dict[str, Any]:
    """One run for the JSON; of the hot frames only their number."""
    tree = asdict(measured.result)
    tree["hot_pages"] = len(tree.pop("hot_pfns"))
    tree["host_wall_s"] = round(measured.wall_s, 1)
    if measured.pac is not None:
        tree["accuracy"] = accuracy_of(measured)
    return tree


def _names(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise SystemExit(f"bench.m5: no {what} {name!r}; there are {', '.join(known)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.m5", description=__doc__)
    parser.add_argument("--workloads", default="", help="names, comma-separated")
    parser.add_argument("--policies", default="", help="names, comma-separated")
    parser.add_argument(
        "--judge", default="", help="whose accuracy, comma-separated (of M5's three, numab, damon)"
    )
    parser.add_argument("--seeds", default="", help="numbers, comma-separated")
    parser.add_argument("--guests", type=int, default=default_guests(), help="side by side")
    parser.add_argument("--out", type=Path, default=OUT / "m5.json")
    parser.add_argument(
        "--fresh", action="store_true", help="do not go on where an interrupted call stopped"
    )
    parser.add_argument("--no-costs", action="store_true", help="leave plugin and replay out")
    return parser.parse_args()


def main() -> None:
    """See the module's docstring."""
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mode: catalog.Mode = "quick" if is_quick() else "full"
    quick = mode == "quick"
    workloads = _names(options.workloads, list(catalog.WORKLOADS), "workload") or list(
        QUICK_WORKLOADS if quick else catalog.WORKLOADS
    )
    policies = _names(options.policies, list(catalog.POLICIES), "policy") or list(
        QUICK_POLICIES if quick else catalog.POLICIES
    )
    seeds = [int(seed) for seed in options.seeds.split(",") if seed] or [1]
    judged = _names(options.judge, JUDGEABLE, "accuracy of policy")
    specs = plan(mode, workloads, policies, seeds, judged=judged)
    try:
        status = benchmark(mode, specs, options)
    except TiermemError as error:
        sys.exit(f"bench.m5: {error}")
    sys.exit(status)


def finished_runs(*, probe: bool) -> FinishedRuns:
    """Where an interrupted call kept its runs; those with and without the probe differ."""
    kernels, daemons = (sources_identity(of_daemon=daemon) for daemon in (False, True))
    return FinishedRuns(WORK / "finished", (f"{kernels} {probe=}", f"{daemons} {probe=}"))


def benchmark(mode: catalog.Mode, specs: Sequence[RunSpec], options: argparse.Namespace) -> int:
    """Run, report, and return the exit status: 0 when all was measured."""
    from bench.picture import draw  # matplotlib takes a second to import

    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    build_programs(WORK, Progress())
    if any("graph.bin" in word for spec in specs for word in spec.program):
        build_graph(WORK, Progress())
    probe = mode == "full"
    finished = finished_runs(probe=probe)
    if options.fresh:
        finished.forget(specs)
    campaign = run_all(specs, WORK, options.guests, probe=probe, finished=finished)
    if not campaign.failures:
        finished.forget(specs)
    rows = summarise(campaign.measured)
    found: dict[str, float | None] = dict(figures(rows))

    def save() -> None:
        tree = _tree(mode, specs, campaign, rows)
        wall_s = round(time.monotonic() - begin)
        write_json(options.out, tree | {"figures": found, "wall_s": wall_s})

    save()
    if rows:
        print_table(rows, "Page tiering", probed=probe)
        draw(rows, "Page tiering in the CXL testbed", options.out.with_suffix(".png"))
    if not options.no_costs and not campaign.interrupted:
        # These take minutes more; what the runs gave is safe by now.
        costs, failures = plugin_and_replay_figures(quick=mode == "quick")
        found |= costs
        campaign.failures += failures
        save()
    _print_figures(found, _left_out(specs), campaign.failures)
    print(f"{_shown(options.out)}, {_shown(options.out.with_suffix('.png'))}")
    return 1 if campaign.failures else 0


def _tree(
    mode: catalog.Mode,
    specs: Sequence[RunSpec],
    campaign: Campaign,
    rows: Sequence[Row],
) -> dict[str, Any]:
    return {
        "benchmark": "m5",
        "mode": mode,
        "time": "modelled",
        "environment": environment(campaign.kernel_release),
        "left_out": _left_out(specs),
        "failures": campaign.failures,
        "runs_taken_over": campaign.taken_over,
        "rows": rows_as_json(rows),
        "m5_config": catalog.m5_config(catalog.POLICIES[catalog.M5], dry_run=False),
        "specs": [asdict(spec) for spec in specs],
        "runs": [run_as_json(one) for one in campaign.measured],
    }


def _left_out(specs: Sequence[RunSpec]) -> list[str]:
    done = {(spec.workload, spec.policy) for spec in specs}
    return [
        f"{workload}/{policy}"
        for workload in catalog.WORKLOADS
        for policy in catalog.POLICIES
        if (workload, policy) not in done
    ]


def _print_figures(
    found: dict[str, float | None], left_out: Sequence[str], failures: Sequence[str]
) -> None:
    for name, value in found.items():
        print(f"{name:>24}: {'not measured' if value is None else f'{value:.4g}'}")
    if left_out:
        print(f"left out ({len(left_out)} workload/policy pairs): {', '.join(left_out)}")
    for failure in failures:
        print(f"not measured: {failure}", file=sys.stderr)


def _shown(path: Path) -> Path:
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path


if __name__ == "__main__":
    main()
