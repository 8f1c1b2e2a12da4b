"""The one small record that a transaction announces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["media", "predictions", "corrections", "runs", "tracks", "settings"]
Origin = Literal["view", "job", "undo", "import", "open"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one committed transaction changed.

    Attributes:
        kinds: which kinds of rows changed.
        media: id of the media they belong to, or None for all.
        frames: frame indices, or None for "many or unknown".
        revision: the project's revision after the commit; grows by one per transaction.
        origin: who caused it; a view may skip what it did itself.
    """

    kinds: frozenset[Kind]
    revision: int
    origin: Origin
    media: int | None = None
    frames: frozenset[int] | None = field(default=None)

    def touches(self, kind: Kind, media: int | None = None, frame: int | None = None) -> bool:
        """Return whether rows of ``kind`` of that media and frame may have changed."""
        if kind not in self.kinds:
            return False
        if media is not None and self.media is not None and media != self.media:
            return False
        return frame is None or self.frames is None or frame in self.frames
