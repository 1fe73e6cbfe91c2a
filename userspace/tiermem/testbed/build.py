"""All that is built once, or found in the cache, before a guest can boot."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tiermem.testbed.artifacts import Artifacts, build_artifacts
from tiermem.testbed.debian import guest_root
from tiermem.testbed.image import Image, build_image
from tiermem.testbed.progress import Progress
from tiermem.testbed.qemu import Qemu, find_qemu

_OWN_CHECKOUT = Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Testbed:
    """All that is built once: QEMU, the guests' image, what is compiled for them."""

    qemu: Qemu
    image: Image
    checkout: Path
    artifacts: Artifacts


def default_checkout() -> Path:
    """The checkout whose code guests get: this one, or what TIERMEM_CHECKOUT names."""
    return Path(os.environ.get("TIERMEM_CHECKOUT") or _OWN_CHECKOUT).resolve()


def build(progress: Progress, checkout: Path, *, plugin: bool = True) -> Testbed:
    """Build, or find in the cache, everything a boot needs."""
    qemu = find_qemu(progress)
    root = guest_root(progress)
    image = build_image(root, progress)
    return Testbed(
        qemu, image, checkout, build_artifacts(root, image, checkout, progress, plugin=plugin)
    )
