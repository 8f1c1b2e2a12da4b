"""Swapping tracks: who the selected person may be instead, and the menu that asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu, QWidget

from poseviewer.core.values import Person
from poseviewer.ui import theme
from poseviewer.ui.messages import Message
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.project.edits import AnyEdit
    from poseviewer.ui.desk import Desk

AROUND = 75
"""Tracks that end or begin within so many frames may be the person's own."""
MOST = 9
"""So many are offered; each has a digit."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One track that the person may take from here on.

    Attributes:
        track: number.
        person: key of who has it in this frame, or None.
        words: what the menu says.
    """

    track: int
    person: str | None
    words: str


def offers(desk: Desk, person: Person) -> tuple[Offer, ...]:
    """Return the tracks that ``person`` may take: of people here, nearest first; of people who were just here or come
    soon; and a new one."""
    if desk.project is None or desk.media_id is None or desk.info is None:
        return ()
    others = [one for one in desk.people if one.key != person.key and one.pose.track is not None]
    centre = person.pose.box.reshape(2, 2).mean(axis=0)
    others.sort(key=lambda one: float(np.linalg.norm(one.pose.box.reshape(2, 2).mean(axis=0) - centre)))
    found = [
        Offer(one.pose.track, one.key, tr("Track {number}, person {n}", number=one.pose.track, n=_number(desk, one)))
        for one in others
        if one.pose.track is not None
    ]
    frame, last = desk.selection.frame, desk.info.frame_count - 1
    here = {one.pose.track for one in desk.people}
    spans = desk.project.tracks(desk.media_id, max(frame - AROUND, 0), min(frame + AROUND, last))
    away: dict[int, int] = {}
    for span in spans:
        if span.track not in here:
            distance = span.first - frame if span.first > frame else span.last - frame
            if abs(distance) < abs(away.get(span.track, AROUND + 1)):
                away[span.track] = distance
    for track, distance in sorted(away.items(), key=lambda item: (abs(item[1]), item[1] > 0)):
        words = tr("Track {number}, last in frame {frame}", number=track, frame=frame + distance)
        if distance > 0:
            words = tr("Track {number}, again in frame {frame}", number=track, frame=frame + distance)
        found.append(Offer(track, None, words))
    new = max((span.track for span in desk.project.tracks(desk.media_id, 0, last)), default=0) + 1
    return (*found[: MOST - 1], Offer(new, None, tr("Track {number}, a new one", number=new)))


def _number(desk: Desk, person: Person) -> int:
    return desk.person_number(person.key)


def swap(desk: Desk, person: Person, offer: Offer) -> bool:
    """Give ``person`` the offered track from this frame on; whoever has it takes the person's."""
    from poseviewer.project import edits

    media, frame = desk.place()
    if offer.person is not None and person.pose.track is not None:
        edit: AnyEdit = edits.SwapTracks(media, frame, person.key, offer.person)
    else:
        edit = edits.SetTrack(media, frame, person.key, offer.track, "forward")
    before = person.pose.track
    done = desk.apply(edit)
    if done and before is not None:
        desk.noted.emit(tr("tracks {a} and {b} swapped from here on", a=before, b=offer.track))
    return done


def ask_swap(desk: Desk, parent: QWidget) -> QMenu | None:
    """Swap at once where two people are here and nobody else is near in time; else open a menu and return it."""
    if desk.project is None or desk.media_id is None:
        return None
    person = desk.person
    tracked = [one for one in desk.people if one.pose.track is not None]
    if person is None and len(tracked) == 2:
        person = tracked[0]
    if person is None:
        desk.tell(Message(tr("Choose a person first."), tr("Click one, or press 1 to 9."), key="choose"))
        return None
    found = offers(desk, person)
    if len(found) == 2 and found[0].person is not None and person.pose.track is not None:
        swap(desk, person, found[0])
        return None
    menu = _menu(desk, person, found, parent)
    menu.popup(parent.mapToGlobal(QPoint(parent.width() // 3, parent.height() // 4)))
    return menu


def _menu(desk: Desk, person: Person, found: tuple[Offer, ...], parent: QWidget) -> QMenu:
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    track = person.pose.track
    title = tr("Person {n} is from here on", n=_number(desk, person))
    if track is not None:
        title = tr("Track {number} is from here on", number=track)
    heading = menu.addAction(title)
    heading.setEnabled(False)
    for order, offer in enumerate(found, 1):
        item = menu.addAction(_swatch(offer.track), f"&{order}  {offer.words}")
        item.triggered.connect(lambda _checked=False, offer=offer: swap(desk, person, offer))
    return menu


def _swatch(track: int) -> QIcon:
    """A disc in the track's colour."""
    size = QSize(24, 24)
    picture = QPixmap(size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    try:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.track_colour(track))
        painter.drawEllipse(4, 4, 16, 16)
        if theme.track_repeats(track):
            painter.fillRect(4, 10, 16, 4, theme.data_colour("mark"))
    finally:
        painter.end()
    return QIcon(picture)
