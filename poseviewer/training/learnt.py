"""Which frames weights have learnt, so that nobody measures a later retraining on them.

Every retraining adds its frames to what the weights carry in their header: a media's content fingerprint with spans of
frame numbers, and for a picture that belongs to no media the hash of its file. A media that was encoded anew is another
one, and so is a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from poseviewer.training.datasets import Annotation

Span = tuple[int, int]
Learnt = Mapping[str, Sequence[Span]]
"""Mark of a media, or of a picture, to (first, last) frames, both included."""
LARGEST_HEADER = 2**26
"""Bytes; a longer header of a weight file is not read here."""


class _Said(msgspec.Struct, frozen=True):
    learnt: dict[str, tuple[Span, ...]] = {}


def learnt_by(weights: Path) -> Learnt:
    """What a weight file says that it has learnt; nothing where it says nothing, as published files do.

    It needs no tensors. A file that cannot be read says nothing either: whoever loads it says why.
    """
    try:
        with weights.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = msgspec.json.decode(stream.read(size) if size <= LARGEST_HEADER else b"")
        return msgspec.json.decode(header["__metadata__"]["poseviewer"], type=_Said).learnt
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return {}


def mark_of(person: Annotation) -> tuple[str, int]:
    """What a person's picture is known by: mark and frame number; "" for a picture that is not there."""
    if person.mark and person.frame is not None:
        return person.mark, person.frame
    import xxhash

    try:
        return f"picture {xxhash.xxh3_64_hexdigest(person.image.read_bytes())}", 0
    except OSError:
        return "", 0


def marks_of(people: Iterable[Annotation]) -> dict[Path, tuple[str, int]]:
    """Mark and frame number of every picture."""
    one = {person.image: person for person in people}
    return {image: mark_of(person) for image, person in one.items()}


def knows(learnt: Learnt, mark: str, frame: int) -> bool:
    """Whether a frame was learnt."""
    return any(first <= frame <= last for first, last in learnt.get(mark, ()))


def already_learnt(learnt: Learnt, people: Sequence[Annotation]) -> set[Path]:
    """The pictures of these people that were learnt."""
    if not learnt:
        return set()
    return {image for image, place in marks_of(people).items() if knows(learnt, *place)}


def with_learnt(learnt: Learnt, people: Iterable[Annotation]) -> dict[str, tuple[Span, ...]]:
    """What is known once these people are learnt too; those without a labelled joint teach nothing."""
    marks = marks_of(person for person in people if (person.joints[:, 2] > 0).any()).values()
    return together([learnt, *({mark: ((frame, frame),)} for mark, frame in marks if mark)])


def together(parts: Iterable[Learnt]) -> dict[str, tuple[Span, ...]]:
    """What all parts know."""
    found: dict[str, list[Span]] = {}
    for part in parts:
        for mark, spans in part.items():
            found.setdefault(mark, []).extend(spans)
    return {mark: joined(spans) for mark, spans in sorted(found.items())}


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same frames in as few spans as possible, in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)
