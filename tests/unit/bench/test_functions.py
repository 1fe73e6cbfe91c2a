"""The benchmark's functions answer what they should; each says the same twice."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.functions import (
    arithmetic,
    graph_search,
    image_resize,
    inference,
    json_documents,
    linear_algebra,
)


def test_arithmetic_sums() -> None:
    assert arithmetic.handle({"n": 3}) == pytest.approx(math.sin(1) + math.sqrt(2) * math.sin(2))


def test_json_counts_every_third_and_what_it_is_given() -> None:
    own = {"active": True, "scores": [7.0]}
    assert json_documents.handle({})["active"] == 167
    answer = json_documents.handle({"records": [own]})
    assert (answer["active"], answer["best"]) == (168, 7.0)


def test_search_reaches_more_with_each_step() -> None:
    reached = [graph_search.handle({"source": 5, "depth": d})["reached"] for d in range(5)]
    assert reached[0] == 1
    assert reached[1] <= 17
    assert reached == sorted(set(reached))


def test_resizing_keeps_the_mean_and_is_the_image_at_its_own_size() -> None:
    small = image_resize.handle({})
    whole = image_resize.handle({"height": 1080, "width": 1920})
    assert small["shape"] == [270, 480, 3]
    assert small["mean"] == pytest.approx(whole["mean"], rel=0.01)


def test_the_solution_solves() -> None:
    assert linear_algebra.handle({"seed": 3})["residual"] < 1e-9


def test_the_model_knows_its_patterns() -> None:
    answers = [inference.handle({"label": n % 10, "seed": n}) for n in range(100)]
    assert sum(one["label"] == one["found"] for one in answers) >= 95


@pytest.mark.parametrize(
    "function",
    [arithmetic, graph_search, image_resize, inference, json_documents, linear_algebra],
    ids=lambda one: one.__name__,
)
def test_the_same_event_gets_the_same_answer(function: Any) -> None:
    assert function.handle({}) == function.handle({})
