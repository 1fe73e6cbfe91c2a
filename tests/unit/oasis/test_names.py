"""Bandwidths and devices, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiermem.oasis.allocator.pod import DeviceId, Kind
from tiermem.oasis.bandwidth import bandwidth_Bps, bandwidth_text
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.names import device_id, id_text


@pytest.mark.parametrize(
    ("text", "amount_Bps"),
    [("10Gbit", 1_250_000_000), ("2.5Gbit", 312_500_000), ("8 mbit/s", 10**6), ("0bit", 0)],
)
def test_a_bandwidth_is_read_as_bytes_a_second(text: str, amount_Bps: int) -> None:  # noqa: N803
    assert bandwidth_Bps(text) == amount_Bps


@pytest.mark.parametrize("text", ["", "10", "10GB", "-1bit", "1 e3bit", 10])
def test_what_is_no_bandwidth_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='such as "10Gbit"'):
        bandwidth_Bps(text)


@given(st.integers(0, 1 << 44))
@example(124_999_999)
def test_a_bandwidth_is_shown_within_half_a_hundredth_or_a_byte(amount_Bps: int) -> None:  # noqa: N803
    shown = bandwidth_text(amount_Bps)
    assert (
        abs(bandwidth_Bps(shown if shown != "0" else "0bit") - amount_Bps) <= amount_Bps / 200 + 1
    )


@given(st.integers(0, 63), st.integers(0, 0xFFFF))
def test_a_device_is_read_as_it_is_shown(host: int, number: int) -> None:
    assert device_id(id_text(DeviceId(host, number))) == DeviceId(host, number)


@pytest.mark.parametrize("text", ["1", "1/", "a/0", "1/0/0", "-1/0", None])
def test_what_is_no_device_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="HOST/NUMBER"):
        device_id(text)


@given(
    st.builds(
        LinkName,
        st.sampled_from(Kind),
        st.builds(DeviceId, st.integers(0, 63), st.integers(0, 15)),
        st.integers(0, 63),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, (1 << 64) - 1),
    )
)
def test_a_link_is_known_by_its_areas_name(name: LinkName) -> None:
    assert LinkName.parse(str(name)) == name
    assert len(str(name)) < 128


@pytest.mark.parametrize("text", ["fork/a", "oasis-allocator", "oasis/gpu/0.0/0/1-1"])
def test_other_areas_are_no_links(text: str) -> None:
    assert LinkName.parse(text) is None
