"""Moving through time: steps that grow while a key is held, jumps, range and playing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from PySide6.QtCore import QObject

from poseviewer.ui.messages import Message
from poseviewer.ui.parts import DeskParts
from poseviewer.ui.playback import Playback
from poseviewer.ui.text import tr

Jump = Literal["corrected", "predicted", "empty", "doubt"]
GROW_EVERY, GROW_MOST = 12, 8
"""A held key steps one frame more after this many repeats, up to this many frames."""


class Moving(QObject):
    """The actions of the group Move.

    Attributes:
        repeats: how often the key that is down repeated itself; the window counts, a tap is 0.
    """

    def __init__(self, desk: DeskParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._playback = Playback(desk, self)
        self.repeats = 0
        self.actions: dict[str, Callable[[], object]] = {
            "frame_next": partial(self.step, 1),
            "frame_previous": partial(self.step, -1),
            "frame_next_10": partial(self.step, 10),
            "frame_previous_10": partial(self.step, -10),
            "frame_next_100": partial(self.step, 100),
            "frame_previous_100": partial(self.step, -100),
            "frame_first": lambda: desk.select(frame=0),
            "frame_last": lambda: desk.select(frame=desk.info.frame_count - 1 if desk.info else 0),
            "play": lambda: desk.play(playing=not desk.playhead.playing),
            "loop": lambda: desk.play(loop=not desk.playhead.loop),
            "next_doubt": partial(self.jump, "doubt", 1),
            "previous_doubt": partial(self.jump, "doubt", -1),
            "next_corrected": partial(self.jump, "corrected", 1),
            "previous_corrected": partial(self.jump, "corrected", -1),
            "next_empty": partial(self.jump, "empty", 1),
            "previous_empty": partial(self.jump, "empty", -1),
            "range_first": self.range_first,
            "range_last": self.range_last,
            "range_clear": lambda: desk.play(first=None, last=None),
        }

    def step(self, count: int) -> None:
        """Go ``count`` frames on; a single step grows while its key is held."""
        if self._desk.playhead.playing:
            self._desk.play(playing=False)
        if abs(count) == 1:
            count *= min(1 + self.repeats // GROW_EVERY, GROW_MOST)
        self._desk.select(frame=self._desk.selection.frame + count)

    def jump(self, kind: Jump, step: int) -> None:
        """Go to the next or previous frame of a kind; a doubt also selects the person and joint it is about."""
        desk = self._desk
        if desk.project is None or desk.media_id is None:
            return
        frame = desk.project.next_of(desk.media_id, desk.selection.frame, kind, step)
        if frame is None:
            desk.tell(Message(_NOTHING[kind](step), key="jump"))
            return
        desk.select(frame=frame)
        if kind == "doubt":
            doubt = next(one for one in desk.project.worth_a_look(desk.media_id) if one.frame == frame)
            person = doubt.person_key if desk.person_by_key(doubt.person_key) else None
            desk.select(person=person, joint=doubt.joint)

    def range_first(self) -> None:
        """Start the range at the selected frame."""
        frame, last = self._desk.selection.frame, self._desk.playhead.last
        self._desk.play(first=frame, last=None if last is not None and last < frame else last)

    def range_last(self) -> None:
        """End the range at the selected frame."""
        frame, first = self._desk.selection.frame, self._desk.playhead.first
        self._desk.play(last=frame, first=None if first is not None and first > frame else first)

    def playhead_changed(self) -> None:
        """Start or stop the clock, or go on at another speed."""
        if self._desk.playhead.playing:
            self._playback.start()
        else:
            self._playback.stop()

    def moved(self) -> None:
        """Go on playing from where the selection jumped to."""
        self._playback.reanchor()


_NOTHING: dict[str, Callable[[int], str]] = {
    "doubt": lambda step: tr("Nothing more is worth a look.") if step > 0 else tr("Nothing before is worth a look."),
    "corrected": lambda step: tr("No corrected frame follows.") if step > 0 else tr("No corrected frame is before."),
    "predicted": lambda step: tr("No predicted frame follows.") if step > 0 else tr("No predicted frame is before."),
    "empty": lambda step: tr("No empty frame follows.") if step > 0 else tr("No empty frame is before."),
}
