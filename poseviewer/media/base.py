"""What every media offers: exact frames by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Frame, MediaInfo


class Media(ABC):
    """A video, a picture or a folder of pictures: an ordered, exactly indexed sequence of frames.

    An instance belongs to one thread; :meth:`reopen` gives another thread its own, on the same index.
    """

    @property
    @abstractmethod
    def info(self) -> MediaInfo:
        """What is known about it; replaced when the frame table is confirmed."""

    @property
    @abstractmethod
    def timestamps(self) -> npt.NDArray[np.float64]:
        """``(n,)`` seconds from the first frame, never decreasing; zeros for pictures, which have no time."""

    @property
    def table_version(self) -> int:
        """Grows when frame numbers may have come to mean other pictures (a confirmed table that differs)."""
        return 0

    @abstractmethod
    def frame(self, index: int) -> Frame:
        """Return frame ``index``, 0-based in display order.

        Raises:
            MediaError: if there is no such frame or it cannot be decoded.
        """

    def frame_unless(self, index: int, overtaken: Callable[[], bool]) -> Frame | None:
        """Return frame ``index``, or None as soon as ``overtaken`` says that nobody wants it any more.

        Raises:
            MediaError: as :meth:`frame`.
        """
        return None if overtaken() else self.frame(index)

    def on_the_way(self) -> Frame | None:
        """Return the frame that was decoded last on the way to another one, or None."""
        return None

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames of ``indices`` in that order; ascending order decodes each packet once.

        Raises:
            MediaError: at the frame that cannot be read.
        """
        for index in indices:
            yield self.frame(index)

    @abstractmethod
    def confirm(
        self,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> MediaInfo:
        """Decode everything once and settle the frame table; return the info, confirmed unless cancelled.

        Args:
            progress: called with (packets done, packets in all), at most some ten times a second.
            cancelled: asked now and then; True ends the pass and leaves the provisional table.

        Raises:
            MediaError: if not a single frame can be decoded.
        """

    @abstractmethod
    def reopen(self) -> Media:
        """Return a second decoder on the same index, for another thread."""

    @abstractmethod
    def close(self) -> None:
        """Release the file. Asking for a frame opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, index: int, count: int) -> None:
        if not 0 <= index < count:
            path = self.info.path
            last = f"its last frame is {count - 1}"
            raise MediaError(f"There is no frame {index} in {path}: {last}.", file=path)
