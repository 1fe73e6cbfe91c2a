"""Builds the benchmark's programs and data once, in the guests' own Debian root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tiermem.testbed.debian import guest_root
from tiermem.testbed.namespace import chroot_command
from tiermem.testbed.progress import Progress, run_logged

from bench.catalog import GRAPH_DEGREE, GRAPH_SCALE

CHECKOUT = Path(__file__).resolve().parents[1]
_SOURCES = ("bench/workloads", "kmod/uapi")


def build_programs(folder: Path, progress: Progress) -> None:
    """Compile bench/workloads into folder/programs, if the sources are newer."""
    programs = folder / "programs"
    stamp = programs / ".built"
    sources = [file for name in _SOURCES for file in (CHECKOUT / name).iterdir()]
    root = guest_root(progress)
    identity = f"{root} {max(file.stat().st_mtime_ns for file in sources)}"
    if stamp.is_file() and stamp.read_text() == identity:
        return
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(parents=True)
    with progress.step("benchmark programs") as step:
        for name in _SOURCES:
            shutil.copytree(CHECKOUT / name, programs / "src" / name)
        make = ["make", "-C", "/mnt/src/bench/workloads", "OUT=/mnt", "all", "linear"]
        command = chroot_command(root, make, {programs: "/mnt"}, {})
        run_logged(command, step, "building the benchmark's programs")
        shutil.rmtree(programs / "src")
    stamp.write_text(identity)


def build_graph(folder: Path, progress: Progress, seed: int = 1) -> None:
    """Write folder/graph.bin, the Kronecker graph of the graph workloads."""
    graph = folder / "graph.bin"
    stamp = folder / "graph.txt"
    identity = f"scale={GRAPH_SCALE} degree={GRAPH_DEGREE} seed={seed}"
    if graph.is_file() and stamp.is_file() and stamp.read_text() == identity:
        return
    with progress.step("Kronecker graph"):
        command = [str(folder / "programs/graphgen"), *identity.split(), f"out={graph}"]
        subprocess.run(command, check=True)
    stamp.write_text(identity)
