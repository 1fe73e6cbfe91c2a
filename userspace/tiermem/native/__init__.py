"""C that must be fast, or that shares structures with kernel and hardware.

Extension modules (cffi, API mode) are built by `build.py` and lie in this
folder, or, where the checkout cannot be written (the testbed's guest), in the
folder that TIERMEM_NATIVE_PATH names; that folder wins.
"""

from __future__ import annotations

import os

_built_elsewhere = os.environ.get("TIERMEM_NATIVE_PATH")
if _built_elsewhere:
    __path__.insert(0, _built_elsewhere)
