"""Words of the timeline: doubts in a few words, range and legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import Person
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.project.rows import Doubt


def short_kind(kind: str) -> str:
    """Return a doubt's kind in two words, for beside its diamond."""
    words = {
        "low_score": tr("low score"),
        "jump": tr("sudden jump"),
        "sides": tr("sides swapped"),
        "lost": tr("track lost"),
        "doubled": tr("doubled"),
        "two_peaks": tr("two peaks"),
    }
    return words.get(kind, kind.replace("_", " "))


def doubt_words(doubt: Doubt, skeleton: Skeleton, people: Sequence[Person]) -> str:
    """Return a doubt in one line; ``people`` are those of its frame, or nobody if another frame is on screen."""
    kind = short_kind(doubt.kind)
    number = next((i + 1 for i, person in enumerate(people) if person.key == doubt.person_key), None)
    joint = None
    if doubt.joint is not None and 0 <= doubt.joint < skeleton.count:
        joint = tr(skeleton.joints[doubt.joint])
    if joint and number:
        return tr("{kind} at {joint}, person {number}", kind=kind, joint=joint, number=number)
    if joint:
        return tr("{kind} at {joint}", kind=kind, joint=joint)
    if number:
        return tr("{kind}, person {number}", kind=kind, number=number)
    return kind


def frames_words(first: int, last: int) -> str:
    """Return a range as "780 to 860"."""
    return tr("{first} to {last}", first=first, last=last)
