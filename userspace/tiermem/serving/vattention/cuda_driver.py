"""CUDA's driver API by way of cuda-python, with its errors as ours.

Imported when a GPU is asked for, and never before: a host without one needs none of it.
"""

from __future__ import annotations

from typing import Any

from tiermem.errors import MissingError, NoSpaceError, TiermemError


def load_driver() -> Any:
    """cuda-python's module of driver calls. MissingError without it."""
    try:
        from cuda.bindings import driver
    except ImportError:
        raise MissingError(
            "cuda-python is not installed: `pip install cuda-python` (12.3 or newer)"
        ) from None
    return driver


class Driver:
    """Calls that raise: NoSpaceError without memory, TiermemError with CUDA's own words."""

    def __init__(self, module: Any) -> None:
        """`module`: what load_driver gives, or what behaves like it."""
        self.names = module

    def call(self, name: str, *arguments: Any) -> Any:
        """What the call gives beside its status: nothing, a value, or several."""
        status, *found = getattr(self.names, name)(*arguments)
        if int(status) != 0:
            what = f"{name}: {self._words(status)}"
            if status == self.names.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
                raise NoSpaceError(what)
            raise TiermemError(what)
        return found[0] if len(found) == 1 else found or None

    def _words(self, status: Any) -> str:
        unknown, text = self.names.cuGetErrorString(status)
        _, name = self.names.cuGetErrorName(status)
        if int(unknown) != 0:
            return f"error {int(status)}"
        return f"{text.decode()} ({name.decode()})"
