"""Asking a vLLM server for its metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tiermem.errors import ConfigError, TimeoutExpiredError

_ANSWER_S = 5.0


@dataclass(frozen=True)
class Scrape:
    """All that the server said at `at_s` (of the monotonic clock), by metric."""

    at_s: float
    families: dict[str, Metric]


def metrics_url(server: str) -> str:
    """Where a server's metrics are: of `localhost:8000`, `http://host:8000/`, or the very address.

    ConfigError for what is no address of a server.
    """
    url = server if "://" in server else f"http://{server}"
    parts = urlsplit(url)
    try:
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address:
        raise ConfigError(f"server {server!r}: must be like http://localhost:8000")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/metrics')}/metrics"


def scrape(url: str) -> Scrape:
    """TimeoutExpiredError where nobody answers; ConfigError where it is no vLLM server."""
    try:
        with urlopen(url, timeout=_ANSWER_S) as answer:
            text = answer.read().decode(errors="replace")
    except HTTPError as error:
        raise ConfigError(
            f"{url}: answers {error.code} {error.reason}: is it a vLLM server?"
        ) from error
    except (URLError, OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise TimeoutExpiredError(f"{url}: no answer ({why}): is the server up?") from error
    at_s = time.monotonic()
    try:
        families = {one.name: one for one in text_string_to_metric_families(text)}
    except ValueError as error:
        raise ConfigError(f"{url}: says something else than metrics ({error})") from error
    if not any(name.startswith("vllm:") for name in families):
        raise ConfigError(f"{url}: has metrics, and none of vLLM: it is another server's")
    return Scrape(at_s, families)
