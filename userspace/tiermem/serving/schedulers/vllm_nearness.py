"""Whether a waiting request's KV is near enough to begin: asked of a KV connector that says.

Room that is made for a request whose KV is still on its way from SSD is made for nobody,
and who had it is preempted in vain. A connector that knows has a method `bring_near` (that of
`tiermem.serving.kv` has); of all others every request may begin.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class BringsNear(Protocol):
    """A KV connector that stages what it has far away."""

    def bring_near(self, request: Any, num_computed_tokens: int) -> bool:
        """See that the KV behind these tokens comes near; whether all that is to come has."""


def is_near(connector: object, request: Any, computed_tokens: int) -> bool:
    """Whether the request would begin if it had room; if not, it will some time."""
    if not isinstance(connector, BringsNear):
        return True
    return connector.bring_near(request, computed_tokens)
