"""Addresses, and servers that are away or are none of vLLM's."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from tiermem.errors import ConfigError, TimeoutExpiredError
from tiermem.serving.top import metrics_url, scrape

from tests.unit.serving.top.metrics_server import Served, serving


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("localhost:8000", "http://localhost:8000/metrics"),
        ("http://gpu7:8000/", "http://gpu7:8000/metrics"),
        ("https://proxy/llm/metrics", "https://proxy/llm/metrics"),
    ],
)
def test_a_server_is_named_as_people_do(typed: str, url: str) -> None:
    assert metrics_url(typed) == url


@pytest.mark.parametrize("typed", ["", "ftp://x", "http://", "localhost:port", "http://:80"])
def test_what_is_no_server_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="must be like http://localhost:8000"):
        metrics_url(typed)


def test_a_server_that_is_away() -> None:
    with serving(Served()) as port:
        pass
    with pytest.raises(TimeoutExpiredError, match=r"no answer .*refused.*: is the server up"):
        scrape(f"http://127.0.0.1:{port}/metrics")


def test_another_kind_of_server() -> None:
    registry = CollectorRegistry()
    Gauge("up", "", registry=registry).set(1)
    server, thread = start_http_server(0, "127.0.0.1", registry=registry)
    with pytest.raises(ConfigError, match="none of vLLM"):
        scrape(f"http://127.0.0.1:{server.server_port}/metrics")
    server.shutdown()
    server.server_close()
    thread.join()
