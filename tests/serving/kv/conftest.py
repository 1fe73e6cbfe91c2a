"""What vLLM says without tiers, to hold against; and a file that goes from engine to engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.kv.engines import converse, crowd, engine


@pytest.fixture(scope="session")
def said_plainly() -> tuple[list[list[int]], list[list[int]]]:
    """What vLLM says without tiers: in conversations, and to a crowd."""
    with engine(None) as llm:
        return converse(llm), crowd(llm)


@pytest.fixture(scope="session")
def plain(said_plainly: tuple[list[list[int]], list[list[int]]]) -> list[list[int]]:
    """The conversations."""
    return said_plainly[0]


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the SSD tier; the tests use it one after the other, as engines over time would."""
    return tmp_path_factory.mktemp("ssd") / "kv"
