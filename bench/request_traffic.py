"""Hosts that serve requests of a public trace, and what goes through their NICs.

Traces: Azure LLM inference 2023 (CSV; Patel et al., Splitwise, ISCA 2024) and Mooncake's
(JSON lines; Qin et al., FAST 2025). When a request comes and how many tokens its prompt has
are used of them. Without one, requests are drawn: they come at random, and their prompts are
lognormal with a median of 1,000 tokens, about that of Azure's conversations.

A host prefills one prompt after the other; a request goes to the host of its service with the
least to do. Meanwhile the KV cache of the prompt is sent, layer by layer and so as fast as it
is made, to another host of the service, which decodes (Splitwise, Mooncake). All else that goes
through NICs (text, hits of prefix caches) is left out.

Assumed: LLaMA 2 70B, whose 80 layers have keys and values of 8 heads of 128 numbers of
16 bits: 320 KiB a token. A host has 8 accelerators of 312 TFLOP/s (A100), prefills at half of
that, so 8,900 tokens/s, and is busy for at most half of the time (LOAD), which decides how
many hosts a service has. How much a token takes does not change shares; the load does.

**More hosts than a trace's service has.** There are more services of the same kind, each with
hosts of its own, at first beside each other. Each has the whole trace, begun at another
moment of it, drawn at random; what is beyond its end comes first. That is fair as far as
services' busy seconds have nothing to do with each other, and an hour's trace has no course
of a day that all would share; where services follow the same day, pods save less.
"""

from __future__ import annotations

import csv
import heapq
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.errors import ConfigError

from bench.pod_traffic import Rates, Traffic

KV_BYTES_A_TOKEN = 80 * 2 * 8 * 128 * 2
TOKENS_PER_S = 0.5 * 8 * 312e12 / (2 * 70e9)
LOAD = 0.5
WINDOW_S = 0.1
DRAWN_S, DRAWN_REQUESTS = 3600.0, 20_000
MEDIAN_TOKENS, SIGMA_TOKENS = 1000.0, 1.0

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Requests:
    """Of one service, over a time that repeats: when each comes, in order, and its tokens."""

    at_s: Numbers
    tokens: Numbers
    span_s: float


def drawn(rng: np.random.Generator) -> Requests:
    """See the module."""
    at_s = np.sort(rng.uniform(0, DRAWN_S, DRAWN_REQUESTS))
    tokens = np.ceil(MEDIAN_TOKENS * rng.lognormal(0, SIGMA_TOKENS, DRAWN_REQUESTS))
    return Requests(at_s, tokens, DRAWN_S)


def read_requests(path: Path) -> Requests:
    """Of either trace. ConfigError."""
    try:
        with path.open() as file:
            is_json = file.read(1) == "{"
            file.seek(0)
            found = _mooncake(file) if is_json else _azure(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is not a trace of requests: {error}") from None
    if len(found) < 2 or (found[:, 1] < 0).any() or not np.isfinite(found).all():
        raise ConfigError(f"{path}: needs two requests at least, of no less than 0 tokens")
    at_s, tokens = found[np.argsort(found[:, 0], kind="stable")].T
    at_s = at_s - at_s[0]
    if at_s[-1] <= 0 or tokens.sum() <= 0:
        raise ConfigError(f"{path}: its requests all come at once, or have no tokens")
    return Requests(at_s, tokens, float(at_s[-1] * len(at_s) / (len(at_s) - 1)))


def _mooncake(lines: Iterable[str]) -> Numbers:
    rows = [json.loads(line) for line in lines if line.strip()]
    return np.array([(one["timestamp"] / 1000, one["input_length"]) for one in rows], float)


def _azure(lines: Iterable[str]) -> Numbers:
    rows = list(csv.DictReader(lines))
    # Seven decimals, of which datetime takes six.
    times = [datetime.fromisoformat(one["TIMESTAMP"][:26]).timestamp() for one in rows]
    tokens = [float(one["ContextTokens"]) for one in rows]
    return np.array([times, tokens], float).T.reshape(-1, 2)


def hosts_of(requests: Requests, load: float) -> int:
    """How many a service has: two at least, for one prefills and another one decodes."""
    busy = float(requests.tokens.sum()) / (TOKENS_PER_S * requests.span_s)
    return max(2, math.ceil(busy / load))


def shifted(requests: Requests, by_s: float) -> Requests:
    """Begun later: what was before comes after what is now."""
    at_s = (requests.at_s - by_s) % requests.span_s
    order = np.argsort(at_s, kind="stable")
    return Requests(at_s[order], requests.tokens[order], requests.span_s)


def service(requests: Requests, hosts: int, rng: np.random.Generator) -> Rates:
    """What goes through the NICs of one service's hosts.

    The requests come twice, and the second time is looked at: so hosts have at its begin
    what they would have left to do of what came before.
    """
    lap_s = math.ceil(requests.span_s / WINDOW_S) * WINDOW_S
    at_s = np.concatenate([requests.at_s, requests.at_s + lap_s])
    lasts_s = np.tile(requests.tokens, 2) / TOKENS_PER_S
    free = [(0.0, host) for host in range(hosts)]
    begin_s, senders = np.zeros(len(at_s)), np.zeros(len(at_s), np.int64)
    for number, (now_s, last_s) in enumerate(zip(at_s.tolist(), lasts_s.tolist(), strict=True)):
        free_s, host = heapq.heappop(free)
        begin_s[number], senders[number] = max(now_s, free_s), host
        heapq.heappush(free, (begin_s[number] + last_s, host))
    receivers = (senders + rng.integers(1, hosts, len(senders))) % hosts
    seen = [np.clip(one - lap_s, 0, lap_s) for one in (begin_s, begin_s + lasts_s)]
    busy = [busy_share(one, hosts, seen, lap_s) for one in (receivers, senders)]
    return np.stack(busy, axis=1) * TOKENS_PER_S * KV_BYTES_A_TOKEN


def busy_share(
    of: npt.NDArray[np.int64], hosts: int, times: Sequence[Numbers], span_s: float
) -> Numbers:
    """How many transfers each host has on the mean in each window, of shape (hosts, windows).

    of: whose they are; times: their begins and ends, from 0 to span_s.
    """
    slots = round(span_s / WINDOW_S) + 2
    seconds, going = np.zeros(hosts * slots), np.zeros(hosts * slots)
    for at_s, sign in zip(times, (1.0, -1.0), strict=True):
        window = np.floor(at_s / WINDOW_S).astype(np.int64)
        place = of * slots + window
        rest_s = (window + 1) * WINDOW_S - at_s
        seconds += sign * np.bincount(place, rest_s, hosts * slots)
        going += sign * np.bincount(place + 1, minlength=hosts * slots)
    whole = WINDOW_S * np.cumsum(going.reshape(hosts, slots), axis=1)
    return np.asarray(np.maximum(seconds.reshape(hosts, slots) + whole, 0)[:, :-2] / WINDOW_S)


def serve(
    requests: Requests | None, hosts: int, rng: np.random.Generator, load: float = LOAD
) -> Traffic:
    """As many services as those hosts can hold, of that trace or (None) drawn."""
    found: list[Rates] = []
    while len(found) < hosts:
        one = drawn(rng) if requests is None else requests
        moved = shifted(one, rng.uniform(0, one.span_s))
        found.extend(service(moved, hosts_of(one, load), rng))
    return Traffic(np.stack(found[:hosts]), WINDOW_S)
