"""Runs that an interrupted benchmark had finished, so that the next call goes on from there.

A run counts only for the very sources that it was made with: those of the guest, of
the models, the modules and the workloads, and those of the M5 daemon where it is one
of its runs. So a change of the daemon leaves the kernel's runs as they are. A call
in which nothing failed forgets its runs: the next one measures them anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.guest.spec import RunResult, RunSpec
from bench.programs import CHECKOUT
from bench.session import Measured

_TIERMEM = "userspace/tiermem"
_EVERY_RUN = (
    *("bench/guest", "bench/workloads", "bench/session.py", "bench/programs.py"),
    *("fpga_models/memsys", "fpga_models/trackers", "fpga_models/qemu"),
    *("ebpf", "kmod", f"{_TIERMEM}/testbed", f"{_TIERMEM}/probes"),
)
_DAEMONS_RUN = tuple(f"{_TIERMEM}/{room}" for room in ("m5", "layer", "service", "native", "cli"))


def sources_identity(*, of_daemon: bool, checkout: Path = CHECKOUT) -> str:
    """A digest of all sources that a run's outcome can depend on.

    of_daemon: it is one of the M5 daemon's.
    """
    digest = hashlib.sha256()
    for name in (*_EVERY_RUN, *(_DAEMONS_RUN if of_daemon else ())):
        top = checkout / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            within = file.relative_to(checkout)
            is_built = file.suffix == ".so" or "__pycache__" in within.parts
            if file.is_file() and not is_built:
                content = file.read_bytes()
                digest.update(f"{within}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


class FinishedRuns:
    """Keeps each run in `folder` as it ends.

    identities: what else the outcome of a kernel's run depends on, and of the daemon's.
    """

    def __init__(self, folder: Path, identities: tuple[str, str]) -> None:
        self._folder = folder
        self._identities = identities

    def keep(self, spec: RunSpec, measured: Measured) -> None:
        """Store a run; a reader never sees half of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = self._stem(spec)
        if measured.pac is not None:
            np.save(stem.with_suffix(".npy"), measured.pac)
        part = stem.with_suffix(".part")
        part.write_text(json.dumps({"result": asdict(measured.result), "wall_s": measured.wall_s}))
        part.rename(stem.with_suffix(".json"))

    def find(self, spec: RunSpec) -> Measured | None:
        """The run of this very spec, if an interrupted call had finished it."""
        stem = self._stem(spec)
        try:
            tree = json.loads(stem.with_suffix(".json").read_text())
        except FileNotFoundError:
            return None
        counts = stem.with_suffix(".npy")
        return Measured(
            result=RunResult(**tree["result"]),
            wall_s=tree["wall_s"],
            pac=np.load(counts) if counts.exists() else None,
        )

    def split(self, specs: Sequence[RunSpec]) -> tuple[list[Measured], list[RunSpec]]:
        """Those that are done, and those that are not."""
        found = [(spec, self.find(spec)) for spec in specs]
        done = [measured for _, measured in found if measured is not None]
        return done, [spec for spec, measured in found if measured is None]

    def forget(self, specs: Sequence[RunSpec]) -> None:
        """Drop these runs; those of other specs and of other sources stay."""
        for stem in map(self._stem, specs):
            stem.with_suffix(".json").unlink(missing_ok=True)
            stem.with_suffix(".npy").unlink(missing_ok=True)

    def _stem(self, spec: RunSpec) -> Path:
        identity = self._identities[bool(spec.m5_config)]
        key = hashlib.sha256(f"{identity}\0{spec.to_json()}".encode()).hexdigest()
        return self._folder / key[:32]
