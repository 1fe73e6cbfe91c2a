"""A server that batches, in steps, with so much KV memory: what a policy makes of arrivals.

Each request that runs has one more token after each step; memory comes in blocks of some
tokens. Where one that runs needs a block and none is free, the youngest is preempted, as vLLM
does: its tokens stay known, their KV has to be made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tiermem.serving.schedulers.flashgen import Plan, Running, Waiting

BLOCK_TOKENS = 4
Decide = Callable[[int, int, Sequence[Running], Iterable[Waiting]], Plan]


@dataclass(frozen=True)
class Asked:
    """A request. at_step: when it comes."""

    key: str
    at_step: int
    prompt_tokens: int
    output_tokens: int

    @property
    def order(self) -> tuple[float, str]:
        return float(self.at_step), self.key

    @property
    def most_blocks(self) -> int:
        return _blocks(self.prompt_tokens + self.output_tokens)


@dataclass
class Served:
    """When each was done, and how many blocks were held after each step."""

    done_at: dict[str, int] = field(default_factory=dict)
    held: list[int] = field(default_factory=list)
    preempted: list[str] = field(default_factory=list)


@dataclass
class _Job:
    asked: Asked
    made_tokens: int = 0
    blocks: set[int] = field(default_factory=set)

    @property
    def need_blocks(self) -> int:
        """For all tokens that it has, and the one that it makes next."""
        return _blocks(self.asked.prompt_tokens + self.made_tokens + 1)


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS)


def serve(asked: Sequence[Asked], memory_blocks: int, places: int, decide: Decide) -> Served:
    """All of them to their end. AssertionError where a plan takes memory that is not there, or
    nothing is done in a step."""
    jobs = {one.key: _Job(one) for one in asked}
    free, running, served = set(range(memory_blocks)), list[str](), Served()
    step = 0
    while len(served.done_at) < len(jobs):
        waiting = [
            one
            for one in sorted(asked, key=lambda one: one.order)
            if one.at_step <= step and one.key not in running and one.key not in served.done_at
        ]
        made = decide(
            len(free),
            places - len(running),
            [_described(jobs[key]) for key in running],
            [Waiting(one.key, one.order, jobs[one.key].need_blocks) for one in waiting],
        )
        for key in made.preempt:
            running.remove(key)
            _free(jobs[key], free)
        for key in made.admit:
            running.append(key)
            _take(jobs[key], free)
        served.preempted += [*made.preempt, *_grow(jobs, running, free)]
        assert len(running) <= places
        assert running or not waiting
        served.held.append(memory_blocks - len(free))
        for key in list(running):
            jobs[key].made_tokens += 1
            if jobs[key].made_tokens == jobs[key].asked.output_tokens:
                running.remove(key)
                _free(jobs[key], free)
                served.done_at[key] = step
        step += 1
    return served


def _described(job: _Job) -> Running:
    soon = job.need_blocks - len(job.blocks)
    return Running(job.asked.key, job.asked.order, frozenset(job.blocks), soon)


def _grow(jobs: dict[str, _Job], running: list[str], free: set[int]) -> list[str]:
    """A block for each that needs one; who had to go for that."""
    gone = []
    for key in sorted(running, key=lambda one: jobs[one].asked.order):
        while key in running and jobs[key].need_blocks - len(jobs[key].blocks) > len(free):
            youngest = max(running, key=lambda one: jobs[one].asked.order)
            running.remove(youngest)
            _free(jobs[youngest], free)
            gone.append(youngest)
        if key in running:
            _take(jobs[key], free)
    return gone


def _take(job: _Job, free: set[int]) -> None:
    while len(job.blocks) < job.need_blocks:
        assert free, "a plan took memory that is not there"
        job.blocks.add(free.pop())


def _free(job: _Job, free: set[int]) -> None:
    free |= job.blocks
    job.blocks.clear()


def first_come(
    free_blocks: int, places: int, running: Sequence[Running], waiting: Iterable[Waiting]
) -> Plan:
    """vLLM's own order: nobody passes the oldest that waits."""
    left, admit = free_blocks - sum(one.soon_blocks for one in running), list[str]()
    for one in waiting:
        if len(admit) == places or one.need_blocks > left:
            break
        left -= one.need_blocks
        admit.append(one.key)
    return Plan(admit=tuple(admit))
