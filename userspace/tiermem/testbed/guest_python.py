"""What Python needs in a guest to run the checkout's files, as `tiermem` itself runs there."""

from __future__ import annotations

SOURCE = "/opt/tiermem/src"
"""The checkout, as guests see it."""
COMPILED = "/var/cache/tiermem-pycache"
"""Where guests have all of it compiled; the image and the artifacts fill it."""


def python_environment(*folders: str) -> dict[str, str]:
    """Variables for the package with its native code, and for modules of `folders`."""
    return {
        "PYTHONPATH": ":".join((f"{SOURCE}/userspace", *folders)),
        "TIERMEM_NATIVE_PATH": "/opt/tiermem/artifacts/native",
        "PYTHONPYCACHEPREFIX": COMPILED,
    }
