"""Who waits, and who is next: PrefillOnly's order, short requests together.

The order is `schedulers.prefill_only`'s, judged anew before every request by what of each is
cached now; how long prefills take is learnt from those that ran. A thread of its own works
(`begin`), or whoever calls `step`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from tiermem.errors import TiermemError
from tiermem.serving.schedulers.options import PrefillOnlyOptions
from tiermem.serving.schedulers.prefill_only import Candidate, choose_together
from tiermem.serving.schedulers.prefill_time import PrefillTime

# New tokens of requests that run together: with more the processor is busy with one alone.
TOGETHER_TOKENS = 256


class QueueFullError(TiermemError):
    """As many requests wait as may."""


class QueueClosedError(TiermemError):
    """No request is taken any more; those that waited are dropped."""


class Tokens(Protocol):
    """What a prefill says of itself."""

    @property
    def new_tokens(self) -> int:
        """Computed."""

    @property
    def cached_tokens(self) -> int:
        """Not computed, since they were cached."""


FoundT = TypeVar("FoundT", bound=Tokens)


@dataclass(frozen=True, slots=True)
class Request(Generic[FoundT]):
    """Tokens that wait, the keys of their blocks, and who waits for the answer."""

    number: int
    tokens: Sequence[int]
    keys: Sequence[bytes]
    arrival_s: float
    answer: Future[FoundT]


class PrefillQueue(Generic[FoundT]):
    """Over anything that prefills. `clock`: seconds."""

    def __init__(
        self,
        prefill: Callable[[Sequence[tuple[Sequence[int], Sequence[bytes]]]], Sequence[FoundT]],
        cached_tokens: Callable[[Sequence[bytes], int], int],
        limit: int,
        options: PrefillOnlyOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        together_max: int = 1,
    ) -> None:
        """prefill: of inputs that run together, `together_max` of them at most. cached_tokens: of
        an input with these keys and so many tokens, now. limit: how many may wait."""
        options = options or PrefillOnlyOptions()
        self.limit = limit
        self.prefill_time = PrefillTime.assumed(options.assumed_tokens_per_s)
        self._prefill, self._cached_tokens = prefill, cached_tokens
        self._fairness, self._clock = options.fairness, clock
        self._waiting: dict[int, Request[FoundT]] = {}
        self._changed = threading.Condition()
        self._together_max = together_max
        self._count, self._is_open = 0, True
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def submit(
        self, tokens: Sequence[int], keys: Sequence[bytes], arrival_s: float | None = None
    ) -> Future[FoundT]:
        """The answer to come; cancelling it takes the request out of the queue.

        QueueFullError, QueueClosedError.
        """
        (answer,) = self.submit_all([(tokens, keys)], arrival_s)
        return answer

    def submit_all(
        self,
        inputs: Sequence[tuple[Sequence[int], Sequence[bytes]]],
        arrival_s: float | None = None,
    ) -> list[Future[FoundT]]:
        """The same for several, of which all are taken or none."""
        with self._changed:
            if not self._is_open:
                raise QueueClosedError("the server is ending")
            if len(self._waiting) + len(inputs) > self.limit:
                raise QueueFullError(
                    f"{len(self._waiting)} requests wait, of {self.limit} that may; try again later"
                )
            arrival_s = self._clock() if arrival_s is None else arrival_s
            requests = [
                Request(number, tokens, keys, arrival_s, Future[FoundT]())
                for number, (tokens, keys) in enumerate(inputs, self._count)
            ]
            self._waiting.update((one.number, one) for one in requests)
            self._count += len(requests)
            self._changed.notify_all()
        for one in requests:
            one.answer.add_done_callback(partial(self._withdraw, one.number))
        return [one.answer for one in requests]

    def step(self) -> bool:
        """Run the next request, or the next short ones, to the end; False where none waits."""
        taken = self._take()
        running = [one for one in taken if one.answer.set_running_or_notify_cancel()]
        if running and not self._run(running) and len(running) > 1:
            # One of them may be the reason: none of the others is to fail for it.
            for request in running:
                self._run([request])
        return bool(taken)

    def _run(self, requests: Sequence[Request[FoundT]]) -> bool:
        """Whether they are answered; of one alone, an error is an answer."""
        began_s = self._clock()
        try:
            found = self._prefill([(one.tokens, one.keys) for one in requests])
        except Exception as error:
            if len(requests) == 1:
                requests[0].answer.set_exception(error)
            return False
        took_s = max(0.0, self._clock() - began_s)
        self.prefill_time = self.prefill_time.measured_together(
            [(one.new_tokens, one.cached_tokens) for one in found], took_s
        )
        for request, one in zip(requests, found, strict=True):
            request.answer.set_result(one)
        return True

    def begin(self) -> None:
        """Work in a thread, until `close`."""
        self._thread = threading.Thread(target=self._work, name="prefill", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests, drop those that wait, and let the one under way end."""
        with self._changed:
            self._is_open = False
            dropped, self._waiting = list(self._waiting.values()), {}
            self._changed.notify_all()
        for request in dropped:
            if request.answer.set_running_or_notify_cancel():
                request.answer.set_exception(QueueClosedError("the server is ending"))
        if self._thread is not None:
            self._thread.join()

    def _take(self) -> Sequence[Request[FoundT]]:
        with self._changed:
            candidates = [
                Candidate(
                    str(one.number),
                    one.arrival_s,
                    len(one.tokens),
                    self._cached_tokens(one.keys, len(one.tokens)),
                )
                for one in self._waiting.values()
            ]
            chosen = choose_together(
                candidates,
                self._clock(),
                self.prefill_time,
                self._fairness,
                count_max=self._together_max,
                tokens_max=TOGETHER_TOKENS,
            )
            return [self._waiting.pop(int(one.key)) for one in chosen]

    def _withdraw(self, number: int, _answer: Future[FoundT]) -> None:
        with self._changed:
            self._waiting.pop(number, None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_open)
                if not self._is_open:
                    return
            self.step()
