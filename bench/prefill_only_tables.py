"""What PrefillOnly's benchmark prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bench.benchmark_parts import table_of
from bench.prefill_only_workloads import LOAD

if TYPE_CHECKING:
    from bench.prefill_only import Measured
    from bench.prefill_only_workloads import Compared


def tables(found: Measured) -> list[Table]:
    """One a part, and one a workload."""
    alike = table_of(
        "Logits against a plain prefill in fp32",
        ("attention", "tokens", "cached", "difference", "same bits", "same order of 20"),
    )
    for like in found.likenesses:
        alike.add_row(
            like.attention,
            str(like.tokens),
            str(like.cached_tokens),
            f"{like.difference:.2g}",
            _yes(like.same_bits),
            _yes(like.same_order),
        )
    limit = found.inputs[0].limit_bytes >> 20
    longest = table_of(f"Longest input in {limit} MiB above the weights", ("engine", "tokens"))
    for one in found.inputs:
        longest.add_row(one.engine, str(one.tokens))
    return [alike, longest, *map(_load_table, found.loads)]


def _load_table(compared: Compared) -> Table:
    of = compared.workload
    table = table_of(
        f"{of.name}: {of.users} users, {of.requests_each} requests each, lengths divided by "
        f"{of.divided_by}, {compared.memory_bytes >> 20} MiB beside weights: KV of "
        f"{compared.kv_tokens} tokens in vLLM, a prefix cache of {compared.cache_tokens} here; "
        f"at no worse latency than {compared.best_vllm}: {compared.ratio:g} times its rate at "
        f"{LOAD:g} of its capacity",
        ("engine", "requests/s", "served/s", "mean s", "P99 s", "cached"),
    )
    for run in compared.runs:
        table.add_row(
            run.engine,
            "at once" if run.per_s is None else f"{run.per_s:.2f}",
            f"{run.throughput_per_s:.2f}",
            f"{run.mean_s:.2f}",
            f"{run.p99_s:.2f}",
            f"{run.cached_share:.0%}",
        )
    return table


def _yes(value: bool) -> str:
    return "yes" if value else "no"
