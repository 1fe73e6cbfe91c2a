"""A loaded probe: attach what this kernel offers, read snapshots, detach."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from tiermem.errors import ConfigError, MissingError
from tiermem.probes.btf import read_kernel_types
from tiermem.probes.fault_latency import FaultLatencySnapshot
from tiermem.probes.hint_faults import HintFaultSnapshot
from tiermem.probes.hooks import (
    Hook,
    Part,
    functions_of,
    possible_alternatives,
    tracepoints_of,
)
from tiermem.probes.kernel_cpu import KernelCpuSnapshot, set_apart
from tiermem.probes.loader import ProbeError, Program, check_host, find_sources, import_bcc
from tiermem.probes.migration import MigrationSnapshot
from tiermem.probes.registry import QUESTIONS
from tiermem.probes.snapshot import Snapshot
from tiermem.probes.tracepoints import Tracepoint, read_tracepoint

S = TypeVar("S", bound=Snapshot)


class Probe(Generic[S]):
    """One question, asked of the running kernel from construction to close().

    Loading takes seconds on a slow machine: load once, read often. `attached`
    and `missing` say what was found to hook into and what this kernel lacks.
    """

    @overload
    def __init__(self: Probe[MigrationSnapshot], name: Literal["migration"]) -> None: ...
    @overload
    def __init__(self: Probe[HintFaultSnapshot], name: Literal["hint-faults"]) -> None: ...
    @overload
    def __init__(self: Probe[KernelCpuSnapshot], name: Literal["kernel-cpu"]) -> None: ...
    @overload
    def __init__(self: Probe[FaultLatencySnapshot], name: Literal["fault-latency"]) -> None: ...
    @overload
    def __init__(self: Probe[Any], name: str) -> None: ...

    def __init__(self, name: str) -> None:
        """Load and attach probe `name`.

        MissingError where the host lacks something, ConfigError for a wrong
        name, ProbeError where kernel or compiler refuse.
        """
        question = QUESTIONS.get(name)
        if question is None:
            raise ConfigError(f"probe {name!r}: allowed is one of {', '.join(QUESTIONS)}")
        check_host(name)
        import_bcc()
        tracepoints = _read_tracepoints(tracepoints_of(question.parts))
        types = read_kernel_types()
        functions = {name for name in functions_of(question.parts) if types.has_function(name)}
        defines = {
            macro: constant.value(types, tracepoints)
            for macro, constant in question.constants.items()
        }
        self.name = name
        self.attached: tuple[Hook, ...] = ()
        self.missing: tuple[str, ...] = ()
        self._program = Program(find_sources() / f"{name}.bpf.c", defines)
        try:
            for part in question.parts:
                self._attach(part, functions, tracepoints)
            self._read = question.open_reader(self._program, tracepoints)
        except BaseException:
            self._program.close()
            raise

    def read(self) -> S:
        """The counts since the probe was attached."""
        snapshot: S = self._read()
        return snapshot

    def set_apart(self, pids: Iterable[int]) -> None:
        """From now on these processes have a row of their own: the reader accounts for
        their CPU time himself. ConfigError but for kernel-cpu, which alone has such a row."""
        if self.name != "kernel-cpu":
            raise ConfigError(f"probe {self.name}: only kernel-cpu sets processes apart")
        set_apart(self._program, pids)

    def close(self) -> None:
        """Detach; reading is over."""
        self._program.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _attach(self, part: Part, functions: Collection[str], tracepoints: Collection[str]) -> None:
        """Attach the best alternative that works; whole or not at all."""
        refusal: ProbeError | None = None
        for alternative in possible_alternatives(part, functions, tracepoints):
            done: list[Hook] = []
            try:
                for hook in alternative:
                    self._program.attach(hook)
                    done.append(hook)
            except ProbeError as error:
                refusal = error
                for hook in done:
                    self._program.detach(hook)
                continue
            self.attached += alternative
            return
        self.missing += (part.sees,)
        if not part.needed:
            return
        if refusal:
            raise refusal
        wanted = sorted(functions_of([part]) | tracepoints_of([part]))
        raise MissingError(
            f"probe {self.name}: to see {part.sees}, this kernel offers no way; "
            f"looked for {', '.join(wanted)}"
        )


def _read_tracepoints(names: set[str]) -> dict[str, Tracepoint]:
    found = {}
    for name in names:
        system, _, event = name.partition(":")
        tracepoint = read_tracepoint(system, event)
        if tracepoint:
            found[name] = tracepoint
    return found
