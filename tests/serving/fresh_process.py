"""What is measured of a whole process, or said to its libraries before they start."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def in_fresh_process(run: Callable[..., Any], *arguments: Any) -> Any:
    """As a server is when it starts: without the memory that others have freed before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()
