"""What a retraining gained, as frozen values; no torch, because the window shows them."""

from __future__ import annotations

from pathlib import Path

import msgspec

STOP = "stop"
"""A file of this name in a training's folder lets it end and keep what it has learnt."""
CHECKPOINT = "checkpoint.pt"
"""While a training is not over, a file of this name holds what it needs to go on."""
PAUSE = "pause"
"""While a file of this name is there, the training waits."""


class Figures(msgspec.Struct, frozen=True):
    """How one set of weights does on the held-out people, with given boxes; all 0..1.

    Attributes:
        ap, ap50, ap75, ar: by OKS.
        oks: mean over the people.
        pck: share of the joints within 0.2 torso lengths; None where nobody has a torso.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    oks: float
    pck: float | None


class JointChange(msgspec.Struct, frozen=True):
    """One joint before and after.

    Attributes:
        joint: name.
        people: how many of the held-out people have it labelled.
        pck_before, pck_after: share within 0.2 torso lengths; None where nobody has a torso.
        error_before, error_after: median distance in pixels.
    """

    joint: str
    people: int
    pck_before: float | None
    pck_after: float | None
    error_before: float
    error_after: float


class WorstFrame(msgspec.Struct, frozen=True):
    """A held-out frame in which the new weights are farthest off.

    Attributes:
        image: path of its picture.
        media: name, "" where it is not known; frame: index in it, or None.
        oks_before, oks_after: of the person who is farthest off.
    """

    image: str
    media: str
    frame: int | None
    oks_before: float
    oks_after: float


class Comparison(msgspec.Struct, frozen=True):
    """Before and after on held-out people.

    Attributes:
        before_weights, after_weights: files.
        people, frames: held out.
        before, after: overall.
        joints: those labelled in anybody.
        worst: frames, worst first.
        notes: what must be known to judge the figures, one sentence each.
    """

    before_weights: str
    after_weights: str
    people: int
    frames: int
    before: Figures
    after: Figures
    joints: tuple[JointChange, ...]
    worst: tuple[WorstFrame, ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the table for a terminal."""
        rows = [f"{self.people} held-out people in {self.frames} frames", ""]
        rows.append(f"{'':<16} {'before':>8} {'after':>8} {'change':>8}")
        for name, field in (("OKS AP", "ap"), ("OKS AP50", "ap50"), ("OKS AP75", "ap75"), ("mean OKS", "oks")):
            rows.append(_row(name, getattr(self.before, field), getattr(self.after, field)))
        rows.append(_row("PCK@0.2", self.before.pck, self.after.pck))
        rows += [
            "",
            f"{'PCK@0.2 by joint':<16} {'before':>8} {'after':>8} {'change':>8} {'people':>8}   median error px",
        ]
        for joint in self.joints:
            errors = f"{joint.error_before:6.1f} -> {joint.error_after:.1f}"
            rows.append(f"{_row(joint.joint, joint.pck_before, joint.pck_after)} {joint.people:>8}   {errors}")
        rows += ["", "worst frames (OKS before -> after)"]
        rows += [f"  {place_of(w):<40} {w.oks_before:.3f} -> {w.oks_after:.3f}" for w in self.worst]
        return rows + [f"Note: {note}" for note in self.notes]


def place_of(worst: WorstFrame) -> str:
    """Return a frame in words: media and number, or the picture's name."""
    if worst.media and worst.frame is not None:
        return f"{worst.media} frame {worst.frame}"
    return Path(worst.image).name


def _row(name: str, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return f"{name:<16} {'-':>8} {'-':>8} {'-':>8}"
    return f"{name:<16} {before:>8.3f} {after:>8.3f} {after - before:>+8.3f}"
