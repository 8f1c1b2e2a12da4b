"""Which frames of a project a retraining kept for measuring, so that no export gives them to a training by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from poseviewer.core.errors import FormatError, ProjectError

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


def left_out(project: Project, *, include_held_out: bool) -> HeldOut:
    """What an export leaves out: the held-out frames, or nothing where they are wanted; raises ProjectError."""
    return HeldOut() if include_held_out else read_held_out(project)


def everything_is_held(project: Project) -> FormatError:
    """The error of an export of which nothing is left."""
    return FormatError(
        f"Every frame of {Path(project.path).name} that could be exported is held out for measuring.",
        file=Path(project.path),
        remedy="Include the held-out frames, or hold out fewer of them in the next retraining.",
    )


def store_held_out(project: Project, held: HeldOut) -> None:
    """Keep with the project what is held out from now on; raises ProjectError where it cannot be written."""
    project.set_setting(KEY, held.spans)
