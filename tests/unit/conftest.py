"""What all unit tests share."""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # a guest of the testbed, which runs some of them, lacks it
    from hypothesis import settings

    # How long one example takes says something of the machine, and of what else runs on it.
    settings.register_profile("seconds", deadline=None, max_examples=25)
    # pytest --hypothesis-profile=thorough, for who changes an algorithm.
    settings.register_profile("thorough", deadline=None, max_examples=2000)
    settings.load_profile("seconds")
