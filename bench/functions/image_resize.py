"""Image resizing, bilinear. Streams through one large array."""

from __future__ import annotations

from typing import Any

import numpy as np

_rng = np.random.default_rng(1)
_IMAGE = _rng.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """The image at `height` x `width` (default 270 x 480): its shape and mean."""
    height, width = int(event.get("height", 270)), int(event.get("width", 480))
    y = (np.arange(height) + 0.5) * _IMAGE.shape[0] / height - 0.5
    x = (np.arange(width) + 0.5) * _IMAGE.shape[1] / width - 0.5
    y0 = np.clip(np.floor(y).astype(int), 0, _IMAGE.shape[0] - 2)
    x0 = np.clip(np.floor(x).astype(int), 0, _IMAGE.shape[1] - 2)
    dy = np.clip(y - y0, 0, 1)[:, None, None]
    dx = np.clip(x - x0, 0, 1)[None, :, None]
    above = _IMAGE[y0][:, x0] * (1 - dx) + _IMAGE[y0][:, x0 + 1] * dx
    below = _IMAGE[y0 + 1][:, x0] * (1 - dx) + _IMAGE[y0 + 1][:, x0 + 1] * dx
    resized = above * (1 - dy) + below * dy
    return {"shape": list(resized.shape), "mean": round(float(resized.mean()), 6)}
