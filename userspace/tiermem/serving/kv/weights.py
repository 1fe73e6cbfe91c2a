"""A model's weights in a few bytes: of its files, all that is in them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from tiermem.errors import MissingError
from tiermem.service.user_cache import user_cache
from tiermem.serving.kv.file_digests import digests_of

_KINDS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")

log = logging.getLogger(__name__)


def weights_of(model: str, revision: str | None, cache: str | None) -> str:
    """What tells the weights of a model from others, as vLLM names it: a folder, a file, or a
    name on a hub, whose files it has loaded from `cache` (None: the hub's usual folder).

    Where there are none, it is like no other's, not even the same engine's after a
    restart: so nothing is taken for its KV that may not be.
    """
    place: Path | None = Path(model)
    if not Path(model).exists():
        place = _downloaded(model, revision, cache)
    files = _files(place) if place is not None else []
    if files:
        return fingerprint(files)
    log.warning("%s: its weights are not found as files: KV is kept for this process alone", model)
    return os.urandom(16).hex()


def fingerprint(files: Sequence[Path]) -> str:
    """The same on every host that has the same files, wherever they lie and however old."""
    seen = hashlib.blake2b(digest_size=16)
    for path, digest in zip(files, digests_of(files, _memory()), strict=True):
        seen.update(f"{path.name}\0{digest}\0".encode())
    return seen.hexdigest()


def _memory() -> Path | None:
    """Of files' digests."""
    try:
        return user_cache() / "file-digests.json"
    except MissingError:
        return None


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(file for kind in _KINDS for file in place.glob(kind))


def _downloaded(model: str, revision: str | None, cache: str | None) -> Path | None:
    """The folder of a hub's model that is there; nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(model, revision=revision, cache_dir=cache, local_files_only=True)
    except (HFValidationError, LocalEntryNotFoundError):
        return None
    return Path(found)
