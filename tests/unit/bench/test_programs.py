"""The workload programs, run natively: protocol of the phases, modelled clock, graphs."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAMS = ("hotset", "kvscan", "graphgen", "graphwork")


def drive(command: list[str | Path], *commands: str) -> list[dict[str, Any]]:
    """The program's answers to the commands, readiness first."""
    done = subprocess.run(
        [str(word) for word in command],
        input="".join(f"{line}\n" for line in (*commands, "quit")),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_program_says_it_is_ready_and_answers_each_phase(programs: Path) -> None:
    hotset = [programs / "hotset", "clock=none", "megabytes=4"]
    ready, warm, measured = drive(hotset, "run warm 1000", "run measure 2000")
    assert ready == {"ready": True}
    assert (warm["label"], warm["units"]) == ("warm", 1000)
    assert measured["units"] == 2000
    # Without a hardware model, modelled time is the machine's own.
    assert measured["modelled_ns"] == measured["guest_ns"] > 0


def test_requests_have_ordered_latencies(programs: Path) -> None:
    scan = [programs / "kvscan", "clock=none", "megabytes=8", "sequences=8"]
    _, measured = drive(scan, "run measure 50")
    assert measured["requests"] == 50
    assert 0 < measured["p50_ns"] <= measured["p99_ns"]


def clock_page(instructions: int, busy_ns: int, tiers: list[tuple[int, int]]) -> bytes:
    """The bytes of struct tiermem_clock_page with one vCPU and (reads, writes) by tier."""
    head = struct.pack("<4I2Q4Q", 1, 1, len(tiers), 250, 1, busy_ns, 0, 0, 0, 0)
    traffic = b"".join(
        struct.pack("<8Q", 64 * r, 64 * w, r, w, 0, 0, 0, 0) for r, w in [*tiers, (0, 0), (0, 0)]
    )
    vcpu = struct.pack("<4Q", instructions, 0, busy_ns, 0)
    return (head + traffic + vcpu).ljust(8192, b"\0")


def cpu_s(process: subprocess.Popen[str]) -> float:
    """CPU time of a running process, by the scheduler's account."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def test_modelled_time_is_guest_time_less_instructions_plus_busy_time(
    programs: Path, tmp_path: Path
) -> None:
    page = tmp_path / "clock"
    page.write_bytes(clock_page(1000, 5000, [(10, 1), (20, 2)]))
    process = subprocess.Popen(
        [programs / "kvscan", f"clock={page}", "megabytes=8", "sequences=1", "batch=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin and process.stdout
    assert json.loads(process.stdout.readline()) == {"ready": True}
    idle_s = cpu_s(process)
    # Long enough that the page below changes in the middle of the phase, which has
    # begun once the program works instead of waiting for a line.
    process.stdin.write("run measure 4000\n")
    process.stdin.flush()
    while cpu_s(process) < idle_s + 0.05:
        time.sleep(0.001)
    with page.open("r+b") as file:
        file.write(clock_page(1000 + 7_000, 5000 + 2_000_000_000, [(13, 1), (24, 9)]))
    answer = json.loads(process.stdout.readline())
    process.communicate("quit\n", timeout=10)
    assert process.returncode == 0
    assert answer["armed"] is True
    assert answer["instructions"] == 7_000
    assert answer["modelled_ns"] - answer["guest_ns"] == 2_000_000_000 - 7_000
    assert answer["reads"] == [3, 4]
    assert answer["writes"] == [0, 7]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["megabites=4"], "unknown argument: megabites=4"),
        (["megabytes=x"], "megabytes=x: a number from 1 to"),
        (["megabytes=-4"], "megabytes=-4: a number from 1 to"),
        (["clock=/nowhere"], "clock /nowhere: No such file"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    programs: Path, arguments: list[str], complaint: str
) -> None:
    done = subprocess.run([programs / "hotset", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_an_unknown_command_ends_the_program(programs: Path) -> None:
    done = subprocess.run(
        [programs / "hotset", "clock=none", "megabytes=1"],
        input="walk measure 5\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "unknown command: walk measure 5" in done.stderr


def read_graph(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and neighbours of a file in graph.h's form."""
    data = path.read_bytes()
    _, vertices, entries, _ = struct.unpack_from("<4Q", data)
    offsets = np.frombuffer(data, "<u8", vertices + 1, 32)
    return offsets, np.frombuffer(data, "<u4", entries, 32 + 8 * (vertices + 1))


def test_the_graph_is_undirected_seeded_and_skewed(programs: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        arguments = ["scale=10", "degree=8", f"seed={seed}", f"out={tmp_path / name}"]
        subprocess.run([programs / "graphgen", *arguments], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()
    offsets, neighbours = read_graph(tmp_path / "one")
    degrees = np.diff(offsets.astype(np.int64))
    assert (degrees >= 0).all()
    assert degrees.sum() == neighbours.size == 2 * 8 << 10
    sources = np.repeat(np.arange(1 << 10, dtype=np.uint32), degrees)
    edges = np.stack([sources, neighbours])
    mirrored = edges[::-1]
    order, mirrored_order = np.lexsort(edges), np.lexsort(mirrored)
    assert (edges[:, order] == mirrored[:, mirrored_order]).all()
    # Kronecker graphs have hubs: far above the mean degree of 16.
    assert degrees.max() > 100


@pytest.mark.parametrize("kernel", ["pagerank", "bfs"])
def test_graph_kernels_run_on_a_generated_graph(
    programs: Path, tmp_path: Path, kernel: str
) -> None:
    graph = tmp_path / "graph"
    subprocess.run([programs / "graphgen", "scale=10", "degree=4", f"out={graph}"], check=True)
    work = [programs / "graphwork", "clock=none", f"kernel={kernel}", f"graph={graph}"]
    _, measured = drive(work, "run measure 2")
    assert measured["units"] == 2


def test_a_file_that_is_no_graph_is_refused(programs: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\0" * 64)
    work = [programs / "graphwork", "clock=none", f"graph={wrong}"]
    done = subprocess.run(work, capture_output=True, text=True)
    assert done.returncode == 2
    assert "not a graph that graphgen wrote" in done.stderr
