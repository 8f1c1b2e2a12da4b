"""The project file: schema, rows, edits, journal, undo, integrity."""

from poseviewer.project import edits
from poseviewer.project.heldout import HeldOut, everything_is_held, left_out, read_held_out, store_held_out
from poseviewer.project.rows import (
    CORRECTED,
    EMPTY,
    NONE,
    PREDICTED,
    Counts,
    Doubt,
    ExportRow,
    FrameRow,
    Include,
    Lanes,
    MediaMatch,
    MediaRow,
    RunRow,
    SelectionImage,
    Span,
    UndoResult,
)
from poseviewer.project.store import Project

__all__ = [
    "CORRECTED",
    "EMPTY",
    "NONE",
    "PREDICTED",
    "Counts",
    "Doubt",
    "ExportRow",
    "FrameRow",
    "HeldOut",
    "Include",
    "Lanes",
    "MediaMatch",
    "MediaRow",
    "Project",
    "RunRow",
    "SelectionImage",
    "Span",
    "UndoResult",
    "edits",
    "everything_is_held",
    "left_out",
    "read_held_out",
    "store_held_out",
]
