"""A small JSON file that outlives the daemon: what to restore, what was decided.

It is replaced whole (written aside, synced, renamed), so it is the old or the
new one after a crash. One that cannot be understood is set aside for whoever
wants to look, and the daemon starts fresh instead of not at all.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tiermem.errors import TiermemError

STATE_DIR = Path("/var/lib/tiermem")

_log = logging.getLogger(__name__)
StateT = TypeVar("StateT", bound=BaseModel)


class StateFile(Generic[StateT]):
    """The file at `path`, holding one `model`."""

    def __init__(self, path: Path, model: type[StateT]) -> None:
        self.path = path
        self._model = model

    def load(self) -> StateT | None:
        """What was saved last; None when nothing was, or it was damaged and set aside."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TiermemError(f"{self.path}: cannot be read: {error.strerror}") from error
        try:
            return self._model.model_validate_json(content)
        except ValidationError as error:
            aside = self._set_aside()
            reason = error.errors(include_url=False)[0]["msg"]
            _log.warning(
                "%s: the saved state is damaged (%s); it is now %s, starting fresh",
                self.path,
                reason,
                aside,
            )
            return None

    def save(self, state: StateT) -> None:
        """Replace the file; TiermemError when that failed (the old one is still there)."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._replace(state.model_dump_json(indent=1).encode())
        except OSError as error:
            raise TiermemError(f"{self.path}: cannot be written: {error.strerror}") from error

    def remove(self) -> None:
        """Forget what was saved."""
        self.path.unlink(missing_ok=True)

    def _replace(self, content: bytes) -> None:
        fd, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder_fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)

    def _set_aside(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        try:
            return self.path.replace(aside)
        except OSError as error:
            raise TiermemError(
                f"{self.path}: is damaged and cannot be set aside: {error.strerror}"
            ) from error
