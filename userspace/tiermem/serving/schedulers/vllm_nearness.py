"""How much of a waiting request's KV is near: asked of a KV connector that says.

Room that is made for a request whose KV is still on its way from SSD is made for nobody,
and who had it is preempted in vain. And one whose KV only has to be restored is a short
one. A connector that knows has a method `bring_near` (that of `tiermem.serving.kv` has); of
all others every request may begin, with nothing.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class BringsNear(Protocol):
    """A KV connector that stages what it has far away."""

    def bring_near(self, request: Any, num_computed_tokens: int) -> int | None:
        """See that the KV behind these tokens comes near; of how many tokens more it would be
        restored now. None: it is on its way, and the request would not begin."""


def near_tokens(connector: object, request: Any, computed_tokens: int) -> int | None:
    """Of how many tokens behind these the KV would be restored if the request began now; None
    where it would not begin, however much room it has."""
    if not isinstance(connector, BringsNear):
        return 0
    return connector.bring_near(request, computed_tokens)
