"""Property tests judge results, not this machine's speed at the moment."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("m5", deadline=None)
settings.load_profile("m5")
