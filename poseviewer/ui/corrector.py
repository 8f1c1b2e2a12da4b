"""Writing edits: stamped with what identifies their frame, shown as saved only after the commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from poseviewer.core.errors import KnownError
from poseviewer.ui.messages import DELETE_SCOPE, Message
from poseviewer.ui.parts import DeskParts
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.project import SelectionImage


class Corrector:
    """Applies, undoes and redoes edits of the desk's project."""

    def __init__(self, desk: DeskParts) -> None:
        self._desk = desk

    def apply(self, edit: Any) -> bool:
        """Apply one edit in one transaction; ``saved`` follows the commit. Returns whether it was done."""
        return self._apply((edit,), "", None)

    def apply_together(self, edits: Sequence[Any], name: str, *, group: str | None = None) -> bool:
        """Apply several edits as one undo step called ``name`` (English). Returns whether they were done.

        Calls with the same ``group`` continue one step, as long as nothing else was edited between.
        """
        return self._apply(edits, name, group)

    def _apply(self, edits: Sequence[Any], name: str, group: str | None) -> bool:
        desk = self._desk
        if desk.project is None or not edits or not self.may_edit():
            return False
        stamped = [self._stamped(edit) for edit in edits]
        if None in stamped:
            return False
        desk.saving.emit()
        image = self._selection_image()
        try:
            if name:
                desk.project.apply_many(stamped, name=name, group=group, selection=image, origin="view")
            else:
                desk.project.apply(stamped[0], selection=image)
        except (KnownError, ValueError, KeyError) as error:
            desk.not_saved.emit()
            desk.tell_error(error)
            return False
        desk.saved.emit(dt.datetime.now())
        return True

    def may_edit(self) -> bool:
        """Return whether edits are bound to frames already; say so in the window if not."""
        if self._desk.editable:
            return True
        if self._desk.info is not None:
            self._desk.tell(
                Message(
                    tr("The frames are still being counted."),
                    tr("Corrections are bound to frames as soon as that is done."),
                    key="counting",
                )
            )
        return False

    def travel(self, way: Literal["undo", "redo"]) -> None:
        """Undo or redo one step and show where it was."""
        desk = self._desk
        if desk.project is None or not self.may_edit():
            return
        desk.withdrawn.emit(DELETE_SCOPE)
        desk.saving.emit()
        try:
            result = desk.project.undo() if way == "undo" else desk.project.redo()
        except KnownError as error:
            desk.not_saved.emit()
            desk.tell_error(error)
            return
        desk.saved.emit(dt.datetime.now())
        if result is None:
            return
        if result.media is not None and result.media != desk.media_id:
            desk.show_media(result.media, result.frame)
            return
        desk.select(frame=result.frame)
        person = result.person if result.person and desk.person_by_key(result.person) else None
        desk.select(frame=result.frame, person=person, joint=result.joint, more=frozenset(result.more))

    def _stamped(self, edit: Any) -> Any:
        """Return ``edit`` with the fingerprint and time of its frame, or None if the frame is not here yet."""
        desk = self._desk
        if getattr(edit, "fingerprint", "x") or desk.project is None or desk.media_id is None:
            return edit
        mark = desk.frames.fingerprint(edit.frame)
        if not mark:
            row = desk.project.frame_row(desk.media_id, edit.frame)
            mark = row.fingerprint if row is not None else ""
        if not mark:
            desk.tell(Message(tr("The exact frame is still being decoded."), key="decoding"))
            return None
        stamps = desk.timestamps
        seconds = float(stamps[edit.frame]) if edit.frame < len(stamps) else None
        return msgspec.structs.replace(edit, fingerprint=mark, timestamp_s=seconds)

    def _selection_image(self) -> SelectionImage:
        from poseviewer.project import SelectionImage

        chosen = self._desk.selection
        return SelectionImage(chosen.media, chosen.frame, chosen.person, chosen.joint, tuple(sorted(chosen.more)))
