"""The C in ebpf/ and the Python that loads it name the same things."""

from __future__ import annotations

import re

import pytest
from tiermem.probes import QUESTIONS, fault_latency, hint_faults, histogram, kernel_cpu, migration
from tiermem.probes.hooks import HookKind
from tiermem.probes.loader import find_sources


def source(name: str) -> str:
    return (find_sources() / name).read_text()


def enum_of(text: str, name: str) -> list[str]:
    body = re.search(rf"enum {name} \{{(.*?)\}};", text, re.DOTALL)
    assert body
    return re.findall(r"^\s*(\w+),", body[1], re.MULTILINE)


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_hook_has_its_handler_and_every_handler_a_hook(name: str) -> None:
    handlers = dict(re.findall(r"^int (\w+)\(struct (\w+) \*", source(f"{name}.bpf.c"), re.M))
    hooked = {}
    for part in QUESTIONS[name].parts:
        for alternative in part.alternatives:
            for hook in alternative:
                raw = hook.kind == HookKind.RAW_TRACEPOINT
                hooked[hook.handler] = "bpf_raw_tracepoint_args" if raw else "pt_regs"
    assert hooked == handlers


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_open_macro_has_a_meaning_and_a_use(name: str) -> None:
    text = source(f"{name}.bpf.c")
    text += "".join(source(header) for header in re.findall(r'^#include "(.*)"', text, re.M))
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    used = set(re.findall(r"\b(?:ARG_\w+|\w+_OFFSET|STRUCT_\w+|\w+_BIT)\b", code))
    assert used == set(QUESTIONS[name].constants)


def test_rows_and_columns_of_kernel_cpu_are_in_the_order_of_the_enums() -> None:
    text = source("kernel-cpu.bpf.c")
    who = [f"WHO_{name.upper()}" for name in kernel_cpu.WHO]
    activities = [f"ACTIVITY_{name.upper().replace(' ', '_')}" for name in kernel_cpu.ACTIVITIES]
    assert enum_of(text, "who") == [*who, "WHOS"]
    assert enum_of(text, "activity") == [*activities, "ACTIVITIES"]


def test_outcomes_of_hint_faults_are_in_the_order_of_the_enum() -> None:
    names = [f"OUTCOME_{name.upper()}" for name in hint_faults.OUTCOMES]
    assert enum_of(source("hint-faults.bpf.c"), "outcome") == [*names, "OUTCOMES"]


@pytest.mark.parametrize(
    ("file", "macro", "value"),
    [
        ("latency.h", "LATENCY_SLOTS", histogram.SLOTS),
        ("hint-faults.bpf.c", "NODES_MAX", hint_faults.NODE_NONE),
        ("fault-latency.bpf.c", "NODES_MAX", fault_latency.NODE_NONE),
        ("migration.bpf.c", "REASON_OUTSIDE", migration.REASON_OUTSIDE),
    ],
)
def test_constants_agree(file: str, macro: str, value: int) -> None:
    defined = re.search(rf"^#define {macro} (\w+)", source(file), re.M)
    assert defined
    assert int(defined[1], 0) == value
