"""The index of a video: every packet in demux order, and the frames it gives in display order.

A frame's identity is the ordinal of its packet, never a time stamp: stamps are missing in AVI and raw streams, repeat
in badly made files and move after a seek in Matroska. Source of the rules: measured with bar-code clips, see
``tests/media/test_exact.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

NO_STAMP = int(np.iinfo(np.int64).min)
"""Stands for a missing pts or dts in the arrays of an index."""

Place = tuple[int, int, int]
"""(pts, byte position, size): what identifies a packet after a seek."""


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """All P video packets in demux order; the position in the arrays is the packet's ordinal.

    Attributes:
        pts, dts: ``(P,)`` int64 ticks of ``time_base``, ``NO_STAMP`` where missing.
        pos: ``(P,)`` int64 byte position, -1 where unknown.
        size: ``(P,)`` int64 bytes.
        duration: ``(P,)`` int64 ticks, 0 where unknown.
        key: ``(P,)`` bool, a decoder may start here.
        discard: ``(P,)`` bool, decoded but never shown (pre-roll of an edit list).
        broken: ``(P,)`` bool, the container says that the packet is damaged.
        time_base: seconds of one tick.
        guessed: the container stores no pts (AVI); those in the arrays are guesses, good for seeking only.
    """

    pts: Ints
    dts: Ints
    pos: Ints
    size: Ints
    duration: Ints
    key: Bools
    discard: Bools
    broken: Bools
    time_base: Fraction
    guessed: bool = False

    def __len__(self) -> int:
        return len(self.pts)

    @cached_property
    def keys(self) -> Ints:
        """Ordinals of the key packets, ascending."""
        return np.flatnonzero(self.key).astype(np.int64)

    @cached_property
    def places(self) -> dict[Place, int]:
        """Ordinal by (pts, pos, size); -1 where several packets share one place."""
        found: dict[Place, int] = {}
        for ordinal, place in enumerate(zip(self.pts.tolist(), self.pos.tolist(), self.size.tolist(), strict=True)):
            found[place] = -1 if place in found else ordinal
        return found

    @cached_property
    def has_stamps(self) -> bool:
        """Whether every packet carries a pts of its own."""
        return not self.guessed and bool((self.pts != NO_STAMP).all())

    @cached_property
    def ordered(self) -> bool:
        """Whether the stamps tell the order of display: all there, and the clock was never set back."""
        known = self.dts[self.dts != NO_STAMP]
        return self.has_stamps and not bool((np.diff(known) < 0).any())

    def start_key(self, ordinal: int) -> int:
        """Return the ordinal of the key packet to start from so that ``ordinal`` decodes right.

        It is the last key packet that comes no later in the file *and* is shown no later: the leading pictures of an
        open GOP are stored after the key packet but need the GOP before it.
        """
        at = int(np.searchsorted(self.keys, ordinal, side="right")) - 1
        wanted = int(self.pts[ordinal])
        while at > 0 and wanted != NO_STAMP:
            shown = int(self.pts[self.keys[at]])
            if shown == NO_STAMP or shown <= wanted:
                break
            at -= 1
        return int(self.keys[at]) if at >= 0 else 0

    def find_sizes(self, sizes: Sequence[int]) -> int:
        """Return the ordinal where a run of packets with these sizes begins, -1 if none or several do."""
        count = len(self) - len(sizes) + 1
        if count < 1 or not sizes:
            return -1
        fits = np.ones(count, dtype=bool)
        for offset, size in enumerate(sizes):
            fits &= self.size[offset : offset + count] == size
        found = np.flatnonzero(fits)
        return int(found[0]) if len(found) == 1 else -1

    def provisional_table(self, rate: float) -> FrameTable:
        """Return the frame table that the packets promise, before any was decoded.

        Left out are packets before the first key packet, and leading pictures whose own GOP is missing (a recording
        that was cut inside an open GOP): nothing comes of them.

        Args:
            rate: frames per second, used where time stamps are missing.
        """
        shown = np.flatnonzero(~self.discard).astype(np.int64)
        if len(self.keys):
            first = int(self.keys[0])
            second = int(self.keys[1]) if len(self.keys) > 1 else len(self)
            lost = shown < first
            if self.has_stamps:
                lost |= (shown < second) & (self.pts[shown] < self.pts[first])
            shown = shown[~lost] if not lost.all() else shown
        if self.has_stamps:
            shown = shown[np.lexsort((shown, self.pts[shown]))]
        stamps = [int(value) if value != NO_STAMP else None for value in self.pts[shown]]
        return FrameTable(
            ordinals=shown,
            timestamps=display_times(stamps, self.time_base, rate),
            corrupt=np.zeros(len(shown), dtype=bool),
            confirmed=False,
        )

    def spread_damage(self, ordinals: Ints, bad: Sequence[int]) -> Bools:
        """Return which of ``ordinals`` are damaged or may depend on a packet in ``bad``.

        A frame counts as damaged if a bad packet lies between the key packet that its decoding starts from and itself.
        """
        if not bad:
            return np.zeros(len(ordinals), dtype=bool)
        marks = np.unique(np.asarray(bad, dtype=np.int64))
        starts = np.array([self.start_key(int(ordinal)) for ordinal in ordinals], dtype=np.int64)
        before = np.searchsorted(marks, starts, side="left")
        upto = np.searchsorted(marks, ordinals, side="right")
        damaged: Bools = upto > before
        return damaged


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The N frames in display order.

    Attributes:
        ordinals: ``(N,)`` int64, the packet that each frame comes from.
        timestamps: ``(N,)`` float64 seconds from the first frame, never decreasing.
        corrupt: ``(N,)`` bool, damaged or dependent on damage.
        confirmed: whether a decoder delivered exactly these frames in this order.
        errors: how many packets the decoder refused.
    """

    ordinals: Ints
    timestamps: Floats
    corrupt: Bools
    confirmed: bool
    errors: int = 0
    _turns: Ints = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # One packet may give several frames (packed B-frames): the turn tells them apart.
        turns = np.zeros(len(self.ordinals), dtype=np.int64)
        if len(np.unique(self.ordinals)) != len(self.ordinals):
            seen: dict[int, int] = {}
            for row, ordinal in enumerate(self.ordinals.tolist()):
                turns[row] = seen.get(ordinal, 0)
                seen[ordinal] = int(turns[row]) + 1
        object.__setattr__(self, "_turns", turns)

    def __len__(self) -> int:
        return len(self.ordinals)

    def identity(self, index: int) -> tuple[int, int]:
        """Return (packet ordinal, turn) of frame ``index``."""
        return int(self.ordinals[index]), int(self._turns[index])


def display_times(stamps: Sequence[int | None], time_base: Fraction, rate: float) -> Floats:
    """Return seconds from the first frame for frames in display order.

    Where more than a tenth of the stamps are missing or run backwards, they say nothing: the time is then
    index / rate. Single gaps are filled between their neighbours, and times never decrease.

    Args:
        stamps: pts in ticks, None where missing.
        time_base: seconds of one tick.
        rate: frames per second.
    """
    count = len(stamps)
    even = np.arange(count, dtype=np.float64) / (rate or 25.0)
    known = np.array([stamp is not None for stamp in stamps], dtype=bool)
    if count < 2 or known.mean() < 0.9:
        return even
    ticks = np.array([stamp if stamp is not None else 0 for stamp in stamps], dtype=np.int64)
    values = (ticks - ticks[known][0]).astype(np.float64) * float(time_base)
    if (np.diff(values[known]) < 0).mean() > 0.1:
        return even
    rows = np.arange(count)
    values = _joined(np.interp(rows, rows[known], values[known]))
    rising: Floats = np.maximum.accumulate(values - values[0])
    return rising


def _joined(values: Floats) -> Floats:
    """Return the times with pieces that start over (joined recordings) put one step behind what precedes them."""
    steps = np.diff(values)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    # A small step back is a stamp that is wrong by itself; a large one is a clock that was set back.
    back = steps < -max(10 * usual, 0.5)
    if not back.any():
        return values
    steps[back] = usual
    joined: Floats = np.concatenate([[values[0]], values[0] + np.cumsum(steps)])
    return joined
