"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says something of the machine, and of what else runs on it.
settings.register_profile("tiermem", deadline=None)
settings.load_profile("tiermem")
