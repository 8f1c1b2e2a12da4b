"""Where pills and names go: never over the joint they name, never under a floating bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PySide6.QtCore import QPointF, QRectF

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED, Person
from poseviewer.ui import theme
from poseviewer.ui.canvas.paint import Part
from poseviewer.ui.text import tr

GAP = 16.0
"""Px between a joint's centre and its name."""


def person_parts(person: Person, number: int, *, selected: bool) -> list[Part]:
    """Return what a person's pill says: swatch and number, for the selected one also score and track."""
    track = person.pose.track
    parts = [Part(colour=theme.track_colour(track), striped=theme.track_repeats(track)), Part(str(number), strong=True)]
    if selected:
        words = [f"{mean_score(person):.2f}"] if mean_score(person) > 0 else []
        if track is not None:
            words.append(tr("track {n}", n=track))
        if words:
            parts.append(Part(" · ".join(words), dim=True))
    return parts


def mean_score(person: Person) -> float:
    """Return the mean score of a person's joints: comparable between pipelines, unlike the person's own score."""
    return float(person.pose.scores.mean()) if len(person.pose.scores) else 0.0


def joint_parts(person: Person, joint: int, skeleton: Skeleton) -> list[Part]:
    """Return what a joint's name says: glyph, name, score, and the state if it is not simply visible."""
    side = skeleton.sides[joint]
    parts = [Part(colour=theme.data_colour(side), side=side), Part(tr(skeleton.joints[joint]), strong=True)]
    score = float(person.pose.scores[joint])
    if score > 0:
        parts.append(Part(f"{score:.2f}", dim=True))
    words = visibility_word(int(person.visibility[joint]))
    if person.visibility[joint] in (ABSENT, OCCLUDED):
        parts.append(Part(words, dim=True))
    return parts


def spoken(person: Person, number: int, joint: int | None, skeleton: Skeleton, more: int) -> str:
    """Return what is selected, for assistive technology: "person 1, left wrist, 0.72, visible, and 2 more"."""
    words = [tr("person {n}", n=number)]
    if joint is not None:
        words += [tr(skeleton.joints[joint]), f"{float(person.pose.scores[joint]):.2f}"]
        words.append(visibility_word(int(person.visibility[joint])))
        if more:
            words.append(tr("and {n} more", n=more))
    return ", ".join(words)


def visibility_word(visibility: int) -> str:
    """Return visible, occluded or absent in the window's language."""
    return {ABSENT: tr("absent"), OCCLUDED: tr("occluded")}.get(visibility, tr("visible"))


def place_beside(
    at: QPointF,
    size: tuple[float, float],
    inside: QRectF,
    avoid: Sequence[QRectF],
    joints: Iterable[QPointF],
) -> QRectF:
    """Return where a name of ``size`` goes beside ``at``: above, right, below or left, the first that is free.

    Args:
        at: the joint.
        size: of the name.
        inside: the visible area.
        avoid: rectangles of the bars.
        joints: places that should stay visible.
    """
    width, height = size
    tries = (
        QRectF(at.x() - width / 2, at.y() - GAP - height, width, height),
        QRectF(at.x() + GAP, at.y() - height / 2, width, height),
        QRectF(at.x() - width / 2, at.y() + GAP, width, height),
        QRectF(at.x() - GAP - width, at.y() - height / 2, width, height),
    )
    others = list(joints)
    best, fewest = tries[0], 1e9
    for rect in tries:
        covered = sum(rect.adjusted(-3, -3, 3, 3).contains(joint) for joint in others)
        covered += 100 * any(rect.intersects(bar) for bar in avoid) + 50 * (not inside.contains(rect))
        if covered < fewest:
            best, fewest = rect, covered
        if not covered:
            break
    return best
