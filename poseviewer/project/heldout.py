"""Which frames of a project a retraining kept for measuring, so that no export gives them to a training by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from poseviewer.core.errors import ProjectError

if TYPE_CHECKING:
    from poseviewer.project.store import Project

KEY = "held_out"
"""Of the setting: a list of [media id, first frame, last frame]."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Spans of held-out frames.

    Attributes:
        spans: (media id, first, last), both frames included; an end beyond the media's is its end.
    """

    spans: tuple[tuple[int, int, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.spans)

    def holds(self, media: int, frame: int) -> bool:
        """Whether a frame is held out."""
        return any(media == number and first <= frame <= last for number, first, last in self.spans)


def read_held_out(project: Project) -> HeldOut:
    """What the last retraining from a project held out; nothing where there was none.

    Raises:
        ProjectError: the setting is damaged.
    """
    stored: object = project.setting(KEY, ())
    try:
        return HeldOut(msgspec.convert(stored, tuple[tuple[int, int, int], ...]))
    except msgspec.ValidationError as error:
        raise ProjectError(
            "The project's list of held-out frames is damaged.",
            file=project.path,
            remedy="Export with the held-out frames included, or retrain once more.",
        ) from error


def store_held_out(project: Project, held: HeldOut) -> None:
    """Keep with the project what is held out from now on; raises ProjectError where it cannot be written."""
    project.set_setting(KEY, held.spans)
