"""A frontend's host that says what it wants: messages and frames of its own making."""

from __future__ import annotations

from tiermem.native._net import ffi, lib

from tests.unit.oasis.net.world import GENERATION, FileMemory

REQUESTS_AT = int(lib.NET_LINK_REQUESTS_AT)


class HostileFrontend:
    """Writes into a link's requests and TX ring; there must be no real frontend."""

    def __init__(self, memory: FileMemory, tx_bytes: int, rx_bytes: int) -> None:
        self.memory = memory
        self.tx_at = memory.bytes - tx_bytes - rx_bytes
        # struct host_memory is no more than the address.
        self._base = ffi.new("uint8_t *[1]", [self._pointer(REQUESTS_AT)])
        self._sender = ffi.new("struct channel_sender *")
        opened = lib.channel_open_sender(
            self._sender,
            ffi.cast("struct host_memory *", self._base),
            memory.bytes,
            GENERATION,
        )
        assert opened == lib.CHANNEL_OK

    def say(self, place: int, what: int) -> None:
        """Any two words."""
        words = ffi.new("uint64_t[2]", [place, what])
        assert lib.channel_send(self._sender, words, 1) == 1
        lib.channel_flush(self._sender)

    def say_message(self, message: object) -> None:
        """One of net_message.h's."""
        self.say(message.place, message.what)  # type: ignore[attr-defined]

    def add(self, instance: int, mac: int) -> None:
        self.say_message(lib.net_message_of_instance(lib.NET_ADD, instance, mac))

    def send(self, instance: int, frame: bytes, offset: int = 0) -> None:
        """A frame with its offloads in front, put into the ring at `offset`."""
        at = self.tx_at + offset
        self.memory.buffer[at : at + len(frame)] = frame
        self.say_message(lib.net_message_of_frame(lib.NET_SEND, instance, offset, len(frame)))

    def _pointer(self, at: int) -> object:
        return ffi.cast("uint8_t *", self.memory.address + at)
