"""What a user who is not root sees, whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Callable

NOBODY = 65534


def as_ordinary_user(look: Callable[[], str]) -> str:
    """What it says in a child process without root's rights; AssertionError with what it raised."""
    output, into = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(into, look().encode())
            status = 0
        except BaseException as error:
            os.write(into, repr(error).encode())
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(output) as said:
        text = said.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, text
    return text
