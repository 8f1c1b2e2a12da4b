"""A cache of evidence with a limit in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from poseviewer.core.values import FrameResult


class EvidenceKey(NamedTuple):
    """What evidence depends on: the frame's content, the configuration and the weights."""

    media: str
    frame: int
    config: str
    weights: str


class EvidenceCache:
    """Results with evidence, the least recently used forgotten first; may be used from any thread.

    Args:
        limit_bytes: most memory the heatmaps and crops may take; what is larger alone is not kept.
    """

    def __init__(self, limit_bytes: int = 256 << 20) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._results: OrderedDict[EvidenceKey, FrameResult] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Memory in use."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: EvidenceKey) -> FrameResult | None:
        """Return the result of ``key`` or None."""
        with self._lock:
            result = self._results.get(key)
            if result is not None:
                self._results.move_to_end(key)
            return result

    def put(self, key: EvidenceKey, result: FrameResult) -> None:
        """Keep ``result``, which has evidence, and forget old ones beyond the limit."""
        size = _size(result)
        if size > self._limit:
            return
        with self._lock:
            old = self._results.pop(key, None)
            self._bytes += size - (_size(old) if old is not None else 0)
            self._results[key] = result
            while self._bytes > self._limit:
                _, forgotten = self._results.popitem(last=False)
                self._bytes -= _size(forgotten)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._results.clear()
            self._bytes = 0


def _size(result: FrameResult) -> int:
    return result.evidence.nbytes if result.evidence is not None else 0
