"""How much of the true heat a policy's idea of "hot" holds: the access-count ratio.

For a set of page frames that a policy calls hot, the reads that the exact
counters (PAC) saw of them, over the reads of equally many truly hottest pages.
1 means that the policy could not have chosen better (as in the M5 paper).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PAGE_BYTES = 4096


def access_count_ratio(
    hot_frames: Sequence[int], reads: npt.NDArray[np.uint64], first: int, pages: int
) -> float | None:
    """Reads of the hot frames over those of as many truly hottest frames.

    reads: shape (frames,), by page frame number. Only frames in [first, first +
    pages), the slow tier, count: others could not be promoted. None where the
    policy named none of them, or nothing was read.
    """
    slow = reads[first : first + pages]
    frames = np.unique(np.asarray(hot_frames, dtype=np.int64)) - first
    frames = frames[(frames >= 0) & (frames < slow.size)]
    if frames.size == 0:
        return None
    best = np.partition(slow, slow.size - frames.size)[slow.size - frames.size :]
    total = int(best.sum())
    return float(int(slow[frames].sum()) / total) if total else None
