"""What frontend and backend tell each other is read as it was meant, and junk as junk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._net import ffi, lib

OF_FRAMES = (lib.NET_SEND, lib.NET_RETURN, lib.NET_FRAME, lib.NET_SENT)
OF_INSTANCES = (lib.NET_ADD, lib.NET_REMOVE, lib.NET_ADDED, lib.NET_REFUSED)
INSTANCES = st.integers(0, 0xFFFF)
WORDS = st.integers(0, 2**64 - 1)
BITS_32 = st.integers(0, 2**32 - 1)
NOTHING = 0


def meaning_of(place: int, what: int) -> object:
    return lib.net_message_read(ffi.new("struct net_message *", (place, what))[0])


@given(st.sampled_from(OF_FRAMES), INSTANCES, BITS_32, BITS_32)
def test_frames_keep_their_place(kind: int, instance: int, offset: int, length: int) -> None:
    message = lib.net_message_of_frame(kind, instance, offset, length)
    assert message.place == offset + (length << 32)
    assert message.what == kind + (instance << 8)
    read = lib.net_message_read(message)
    assert (read.kind, read.instance) == (kind, instance)
    assert (read.offset, read.length, read.mac) == (offset, length, 0)


@given(st.sampled_from(OF_INSTANCES), INSTANCES, st.integers(0, 2**48 - 1))
def test_instances_keep_their_address(kind: int, instance: int, mac: int) -> None:
    read = lib.net_message_read(lib.net_message_of_instance(kind, instance, mac))
    assert (read.kind, read.instance, read.mac) == (kind, instance, mac)


@given(WORDS, WORDS)
def test_any_two_words_are_read_and_bits_that_mean_nothing_make_nothing_of_them(
    place: int, what: int
) -> None:
    kind = what & 0xFF
    is_junk = what >> 24 != 0 or (kind in OF_INSTANCES and place >> 48 != 0)
    assert meaning_of(place, what).kind == (NOTHING if is_junk else kind)
