"""A model's weights in a few bytes: of its files, sizes and samples spread over each."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

_SAMPLES = 64
_SAMPLE_BYTES = 4096
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
    """The same on every host that has the same files, wherever they lie and however old.

    Weights that were trained further differ all over; it is not meant to find more.
    """
    seen = hashlib.blake2b(digest_size=16)
    for path in files:
        size = path.stat().st_size
        seen.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            for number in range(_SAMPLES):
                at = (size - _SAMPLE_BYTES) * number // (_SAMPLES - 1)
                seen.update(os.pread(file.fileno(), _SAMPLE_BYTES, max(0, at)))
    return seen.hexdigest()


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
