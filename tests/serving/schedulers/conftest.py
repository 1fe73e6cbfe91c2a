"""What vLLM's own scheduler comes to, to compare with."""

from __future__ import annotations

import pytest

from tests.serving.schedulers.asked import ask_long_among_short, ask_mixed, ask_two_prefixes
from tests.serving.schedulers.engines import Seen, asked, engine


@pytest.fixture(scope="package")
def theirs() -> dict[str, Seen]:
    """Of each way to ask, by name; the engine is gone by then."""
    with engine() as made:
        asks = (ask_long_among_short, ask_mixed, ask_two_prefixes)
        return {ask.__name__: asked(made, ask) for ask in asks}
