"""Which frames are kept out of a training, so that what it gained can be seen on them: whole media or time spans."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from poseviewer.core.errors import CallError
from poseviewer.training.datasets import Annotation

Spans = Mapping[str, tuple[tuple[int, int], ...]]
"""Media name to held-out (first, last) frames, both included."""
EVERYTHING = (0, 2**62)
DEFAULT_SHARE = 0.25


class HoldOut(msgspec.Struct, frozen=True):
    """What is held out.

    Attributes:
        last: share of each media's labelled frames, the last ones: one time span up to the media's end. Pictures that
            belong to no media are chosen by their names instead.
        media: names of whole media.
        spans: (media name, first, last) frames.
    """

    last: float = DEFAULT_SHARE
    media: tuple[str, ...] = ()
    spans: tuple[tuple[str, int, int], ...] = ()


def parse_hold_out(texts: Sequence[str]) -> HoldOut:
    """Read the command line's words: "none", "last:0.25", "clip.mp4" or "clip.mp4:100-200"; nothing is last:0.25.

    Raises:
        CallError: a word is none of these.
    """
    if not texts:
        return HoldOut()
    last, media, spans = 0.0, [], []
    for text in texts:
        span = re.fullmatch(r"(.+):(\d+)-(\d+)", text)
        if text == "none":
            continue
        if text.startswith("last:"):
            last = _share(text.removeprefix("last:"))
        elif span:
            first, end = int(span.group(2)), int(span.group(3))
            if end < first:
                raise CallError(f"The span {text} ends before it begins.")
            spans.append((span.group(1), first, end))
        else:
            media.append(text)
    return HoldOut(last, tuple(media), tuple(spans))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise CallError(f"last: takes a share from 0 to below 1, not {text!r}.")
    return share


def check_named(hold_out: HoldOut, known: Iterable[str]) -> None:
    """Refuse a media that is named and nowhere among the labelled ones; raises CallError."""
    names = {name for name in known if name}
    named = {*hold_out.media, *(name for name, _, _ in hold_out.spans)}
    if unknown := sorted(named - names):
        words = ", ".join(sorted(names)) or "none"
        raise CallError(f"There is no media {unknown[0]} with labelled frames to hold out; there are: {words}.")


def held_spans(
    hold_out: HoldOut, labelled: Mapping[str, Iterable[int]], learnt: Mapping[str, Iterable[int]] | None = None
) -> Spans:
    """The held-out frames of every media.

    Args:
        hold_out: what is wanted; media that are not in `labelled` may be another project's.
        labelled: media name to the numbers of its labelled frames.
        learnt: media name to those of them that the starting weights have learnt already. A share of the last frames is
            taken from the others, as long as there are any; what is held out by name is held out.
    """
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, frames in labelled.items():
        spans = [(first, last) for media, first, last in hold_out.spans if media == name]
        if name in hold_out.media:
            spans.append(EVERYTHING)
        order = sorted(set(frames))
        known = set((learnt or {}).get(name, ()))
        fresh = [frame for frame in order if frame not in known]
        if not fresh:
            fresh, known = order, set()
        count = min(_count(hold_out, len(order)), len(fresh))
        if count > 0:
            spans += _without((fresh[-count], EVERYTHING[1]), known)
        if spans:
            found[name] = tuple(spans)
    return found


def _count(hold_out: HoldOut, there: int) -> int:
    """How many of the frames or pictures that are there are held out: one at least, and never all."""
    return max(min(max(round(hold_out.last * there), 1), there - 1), 0) if hold_out.last > 0 else 0


def _without(span: tuple[int, int], frames: Iterable[int]) -> list[tuple[int, int]]:
    """What is left of a span without some frames, as spans."""
    first, last = span
    found: list[tuple[int, int]] = []
    for frame in sorted(frame for frame in frames if first <= frame <= last):
        found.append((first, frame - 1))
        first = frame + 1
    return [part for part in (*found, (first, last)) if part[0] <= part[1]]


def is_held(spans: Spans, media: str, frame: int) -> bool:
    """Whether a frame is held out."""
    return any(first <= frame <= last for first, last in spans.get(media, ()))


def split_people(
    people: Sequence[Annotation], hold_out: HoldOut, learnt: Container[Path] = ()
) -> tuple[list[Annotation], list[Annotation]]:
    """People to learn from and people to measure on; pictures without a media are split by their names.

    Args:
        people: of any number of data sets.
        hold_out: what is wanted.
        learnt: pictures that the starting weights have learnt already; others are held out, as long as there are any.
    """
    labelled: dict[str, set[int]] = {}
    known: dict[str, set[int]] = {}
    for person in people:
        if person.media and person.frame is not None:
            labelled.setdefault(person.media, set()).add(person.frame)
            if person.image in learnt:
                known.setdefault(person.media, set()).add(person.frame)
    spans = held_spans(hold_out, labelled, known)
    loose = sorted({p.image for p in people if not p.media or p.frame is None}, key=_mixed)
    fresh = [image for image in loose if image not in learnt] or loose
    away = set(fresh[: _count(hold_out, len(loose))])
    kept: list[Annotation] = []
    held: list[Annotation] = []
    for person in people:
        out = is_held(spans, person.media, person.frame) if person.frame is not None else False
        (held if out or person.image in away else kept).append(person)
    return kept, held


def _mixed(path: Path) -> str:
    """An order that has nothing to do with what the pictures show, and stays when some are added."""
    return hashlib.sha256(path.name.encode()).hexdigest()
