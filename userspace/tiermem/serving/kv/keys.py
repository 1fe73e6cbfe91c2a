"""What a KV block is known by: everything that its bytes depend on.

The chain begins with the engine's identity (model, dtype, block size, layout), and each
block's key is a hash of its tokens and of the key before: equal keys, equal prefix.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence

import numpy as np

from tiermem.errors import ConfigError

KEY_BYTES = 32


def identity_of(facts: Mapping[str, object]) -> bytes:
    """Of an engine: facts by name, JSON values; any difference is another identity."""
    try:
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise ConfigError(f"what KV depends on cannot be written down: {error}") from None
    return hashlib.blake2b(b"tiermem kv\0" + text.encode(), digest_size=KEY_BYTES).digest()


def renewed(identity: bytes) -> bytes:
    """Of an engine whose KV is no longer what its facts say: one that nobody ever had."""
    return hashlib.blake2b(identity + os.urandom(KEY_BYTES), digest_size=KEY_BYTES).digest()


class KeyChain:
    """The keys of one sequence's full blocks, as its tokens come.

    salt: requests of another salt share nothing with it.
    """

    def __init__(self, identity: bytes, block_tokens: int, salt: str = "") -> None:
        self._block_tokens = block_tokens
        self._last = hashlib.blake2b(
            identity + salt.encode(), digest_size=KEY_BYTES, person=b"salted"
        ).digest()
        self.keys: list[bytes] = []

    def extend(self, tokens: Sequence[int]) -> list[bytes]:
        """All keys so far; `tokens` is the whole sequence, of which it has seen a part."""
        size = self._block_tokens
        for begin in range(len(self.keys) * size, len(tokens) - size + 1, size):
            block = np.asarray(tokens[begin : begin + size], dtype="<i8").tobytes()
            self._last = hashlib.blake2b(self._last + block, digest_size=KEY_BYTES).digest()
            self.keys.append(self._last)
        return self.keys
