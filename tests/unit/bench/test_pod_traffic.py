"""What pods save on NICs for traffic, and that the traffic of traces is all there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiermem.errors import ConfigError

from bench import request_traffic, traffic_saving, vm_traffic
from bench.pod_traffic import WAYS, Rates, Traffic, coarser, pooled, simulate
from bench.request_traffic import KV_BYTES_A_TOKEN, TOKENS_PER_S, WINDOW_S, Requests
from bench.traffic_source import load_source

HOSTS = 8
BURST = KV_BYTES_A_TOKEN * TOKENS_PER_S
"""What one host sends while it prefills, bytes/s."""
RATES = arrays(np.float64, (HOSTS, 2, 50), elements=st.floats(0, 1e9))


def traffic(*hosts: list[float]) -> Traffic:
    """What they send; nothing comes in."""
    sent = np.array(hosts, float)
    return Traffic(np.stack([np.zeros_like(sent), sent], axis=1), 1.0)


@given(RATES)
@settings(max_examples=50, deadline=None)
def test_a_pod_needs_no_more_than_its_hosts_and_no_less_than_they_send(rates: Rates) -> None:
    found = simulate(Traffic(rates, 1.0), (1, 2, 4, 8))
    saved = found.saved["max"]
    assert saved[1] == pytest.approx(0, abs=1e-9)
    assert -1e-9 <= saved[2] <= saved[4] + 1e-9 <= saved[8] + 2e-9
    assert saved[8] <= found.most["max"] + 1e-9


@given(RATES, st.floats(0.1, 1e3), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_neither_units_nor_the_order_of_windows_matter(
    rates: Rates, factor: float, random: object
) -> None:
    order = np.random.default_rng(random.randrange(99)).permutation(50)  # type: ignore[attr-defined]
    first = simulate(Traffic(rates, 1.0), (2, 8))
    other = simulate(Traffic(factor * rates[:, :, order], 1.0), (2, 8))
    for way in WAYS:
        assert other.saved[way] == pytest.approx(first.saved[way], abs=1e-6)


def test_hosts_that_are_busy_together_save_nothing_and_those_that_take_turns_half() -> None:
    together = simulate(traffic([1, 9, 1], [1, 9, 1]), (2,))
    assert (together.saved["max"], together.saved_alike["max"]) == ({2: 0.0}, {2: 0.0})
    turns = simulate(traffic([0, 8, 0], [8, 0, 0]), (2,))
    assert turns.saved["max"] == {2: 0.5}
    assert turns.most["max"] == pytest.approx(1 - (16 / 3) / 16)


def test_hosts_built_alike_save_what_the_quiet_ones_are_built_with_too() -> None:
    found = simulate(traffic([0, 8], [0, 2]), (2,))
    assert found.saved["max"] == {2: 0.0}
    assert found.saved_alike["max"] == {2: pytest.approx(1 - 10 / 16)}


def test_a_nic_is_built_for_the_busier_way() -> None:
    rates = np.array([[[6.0], [1.0]], [[1.0], [6.0]]])
    assert simulate(Traffic(rates, 1.0), (2,)).saved["max"] == {2: pytest.approx(1 - 7 / 12)}


def test_p9999_leaves_out_one_window_of_ten_thousand() -> None:
    quiet = np.ones(20_001)
    quiet[7] = 100.0
    found = simulate(traffic(quiet.tolist(), quiet.tolist()), (2,))
    assert found.most["p9999"] == pytest.approx(1 - quiet.mean() / 1.0, abs=1e-2)
    assert found.most["max"] == pytest.approx(1 - quiet.mean() / 100)


def test_hosts_beyond_the_last_pod_are_left_out_on_both_sides() -> None:
    found = simulate(traffic([4, 0], [0, 4], [0, 400]), (2,))
    assert found.saved["max"] == {2: 0.5}
    with pytest.raises(ConfigError, match="fills 3 hosts, and pods of 4"):
        simulate(traffic([4], [4], [4]), (4,))


def test_what_pods_of_independent_hosts_need_above_the_mean_grows_as_their_root() -> None:
    """Why pods go on saving beyond any size, and ever less: twice the hosts, 0.71 of it each."""
    rates = np.random.default_rng(1).gamma(20, 1, (256, 2, 2000))
    found = simulate(Traffic(rates, 1.0), (16, 64, 256))
    left = {size: found.most["max"] - saved for size, saved in found.saved["max"].items()}
    assert left[64] / left[16] == pytest.approx(0.5, rel=0.15)
    assert left[256] / left[64] == pytest.approx(0.5, rel=0.15)


def test_longer_windows_have_the_mean_rate() -> None:
    found = coarser(traffic([1, 3, 5, 7, 100]), 2)
    assert found.rates[0, 1].tolist() == [2, 6]
    assert found.window_s == 2.0
    assert pooled(found.rates, 1).shape == (1, 2, 2)


def requests(*rows: tuple[float, float], span_s: float = 100.0) -> Requests:
    at_s, tokens = np.array(rows, float).T
    return Requests(at_s, tokens, span_s)


@given(
    st.lists(st.tuples(st.floats(0, 99.9), st.integers(0, 10_000)), min_size=2, max_size=30),
    st.integers(2, 5),
    st.floats(0, 99.9),
)
@settings(max_examples=25, deadline=None)
def test_every_byte_of_every_prompt_is_sent_once_and_received_once(
    rows: list[tuple[float, int]], hosts: int, by_s: float
) -> None:
    """Wherever the trace begins, and whatever is still under way then."""
    moved = request_traffic.shifted(requests(*sorted(rows)), by_s)
    rates = request_traffic.service(moved, hosts, np.random.default_rng(1))
    total = KV_BYTES_A_TOKEN * sum(tokens for _, tokens in rows)
    assert (rates.sum(axis=(0, 2)) * WINDOW_S).tolist() == pytest.approx([total] * 2, rel=1e-6)
    assert rates.min() >= 0
    assert rates[:, 1].max() <= BURST * (1 + 1e-6)


def test_a_service_that_is_behind_at_the_end_is_so_at_the_begin() -> None:
    late = requests((0, 0), (99, 3 * TOKENS_PER_S), (99.5, 2 * TOKENS_PER_S))
    sent = request_traffic.service(late, 2, np.random.default_rng(1))[:, 1] / BURST
    assert sent[:, :25].sum(axis=0) == pytest.approx([2.0] * 15 + [1.0] * 5 + [0.0] * 5, abs=1e-6)


def test_a_prompt_is_sent_while_it_is_prefilled_and_the_next_waits_for_its_host() -> None:
    second = TOKENS_PER_S
    rates = request_traffic.service(
        requests((0, second), (0, second), (0.5, second)), 2, np.random.default_rng(1)
    )
    sent = rates[:, 1] / BURST
    assert sent[:, :10] == pytest.approx(np.ones((2, 10)))
    assert sent[:, 10:20].sum() == pytest.approx(10)
    assert sent[:, 20:].sum() == pytest.approx(0, abs=1e-9)
    assert rates[:, 0] == pytest.approx(rates[::-1, 1])


def test_services_have_as_many_hosts_as_their_load_needs() -> None:
    one = requests((0, 300 * TOKENS_PER_S), (1, 0.0))
    assert request_traffic.hosts_of(one, 0.5) == 6
    assert request_traffic.hosts_of(requests((0, 1), (1, 1)), 0.5) == 2
    assert request_traffic.serve(one, 8, np.random.default_rng(1)).rates.shape == (8, 2, 1000)


AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.9799600,3180,8
2023-11-16 18:17:05.9799600,110,27
"""
MOONCAKE = """\
{"timestamp": 1000, "input_length": 4808, "output_length": 5, "hash_ids": [0]}
{"timestamp": 2000, "input_length": 3180, "output_length": 5, "hash_ids": [0]}
{"timestamp": 3000, "input_length": 110, "output_length": 5, "hash_ids": [0]}
"""


@pytest.mark.parametrize("text", [AZURE, MOONCAKE])
def test_both_traces_of_requests_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    found = request_traffic.read_requests(path)
    assert found.at_s.tolist() == pytest.approx([0, 1, 2])
    assert found.tokens.tolist() == [4808, 3180, 110]
    assert found.span_s == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs two requests"),
        ("a,b\n1,2\n", "is not a trace of requests"),
        (AZURE.replace("3180", "-1"), "no less than 0 tokens"),
        (AZURE.replace("3180", "many"), "is not a trace of requests"),
        (MOONCAKE.replace("input_length", "tokens"), "is not a trace of requests"),
        ('{"timestamp": 1, "input_length": 2}\n' * 2, "all come at once"),
    ],
)
def test_what_is_no_trace_of_requests_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_source(path, 4)


def vm(path: Path, cores: int, *samples: tuple[float, float, float]) -> None:
    """Of seconds, KB/s received and transmitted."""
    names = list(vm_traffic.COLUMNS)
    head = [*names[:2], "x", "x", "x", names[2], "x", "x", "x", *names[3:]]
    rows = [(at, cores, 0, 0, 0, 2**20, 0, 0, 0, into, out) for at, into, out in samples]
    lines = [";\t".join(map(str, one)) for one in (head, *rows)]
    path.write_text("\n".join(lines) + "\n")


def test_vms_share_windows_and_go_to_hosts_with_all_they_send(tmp_path: Path) -> None:
    vm(tmp_path / "1.csv", 32, (1000, 1, 2), (1300, 3, 4), (1310, 5, 6))
    vm(tmp_path / "2.csv", 16, (1601, 7, 8))
    vm(tmp_path / "3.csv", 16, (1000, 9, 0))
    vm(tmp_path / "4.csv", 0, (1000, 1, 1))
    vms = vm_traffic.read_vms(tmp_path)
    assert (vms.rates[0] / 1024).tolist() == [[1, 4, 0], [2, 5, 0]]
    assert (vms.rates[1] / 1024).tolist() == [[0, 0, 7], [0, 0, 8]]
    assert vms.needs[:, 0].tolist() == [1.0, 0.5, 0.5]
    placed = vm_traffic.place(vms, np.random.default_rng(1))
    assert len(placed.rates) == 2
    assert placed.rates.sum(axis=0) == pytest.approx(vms.rates.sum(axis=0))


def test_what_is_no_vm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no CSV files"):
        load_source(tmp_path, 4)
    vm(tmp_path / "1.csv", 64, (0, 1, 1))
    with pytest.raises(ConfigError, match="more than 32 vCPUs"):
        vm_traffic.read_vms(tmp_path)
    vm(tmp_path / "1.csv", 1, (0, -1, 1))
    with pytest.raises(ConfigError, match="below 0"):
        vm_traffic.read_vms(tmp_path)
    (tmp_path / "1.csv").write_text("Timestamp [ms];CPU\n")
    with pytest.raises(ConfigError, match="column 2 is not CPU cores"):
        vm_traffic.read_vms(tmp_path)


def test_figures_of_traffic_have_names_of_their_own_and_variants_are_told() -> None:
    source = load_source(None, 8)
    outcomes = [simulate(source.draw(seed, source.load), (2, 8)) for seed in (1, 2)]
    found = traffic_saving.figures(outcomes)
    assert all("traffic" in name for name in found)
    assert 0 < found["nic_saving_8_hosts_traffic"] < found["nic_above_mean_traffic"] < 1
    variants = traffic_saving.vary(source, (1,))
    assert [(one.window_s, one.load) for one in variants] == [
        (pytest.approx(window_s), load)
        for window_s, load in ((0.1, 0.25), (0.1, 0.5), (1.0, 0.5), (10.0, 0.5), (0.1, 0.75))
    ]
    assert traffic_saving.table(outcomes, source.name).row_count == 3
