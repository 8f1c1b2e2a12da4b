"""Opening and closing at the desk, and the background pass that settles the frame table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from poseviewer.core.errors import KnownError
from poseviewer.core.values import MediaInfo
from poseviewer.ui import settings
from poseviewer.ui.messages import Message
from poseviewer.ui.opening import Opened, belongs, carry_job, compare_job, confirm_job, one_target, open_job
from poseviewer.ui.parts import DeskParts
from poseviewer.ui.text import tr, tr_sentence
from poseviewer.ui.threads import JobThread

if TYPE_CHECKING:
    from poseviewer.media import Media
    from poseviewer.project import Project
    from poseviewer.project.shifts import Shift

log = logging.getLogger("poseviewer.opener")


DAMAGE = frozenset({"damaged", "truncated", "gap"})
"""Findings that make a person doubt what they see, so that they are told without being asked."""


class Opener(QObject):
    """Swaps what the desk holds.

    Attributes:
        confirmed_share: 0..1 of the background frame count; 1 when it is done or not needed.
    """

    def __init__(self, desk: DeskParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        # Of what is open: work for something that was closed meanwhile is known by it.
        self._ticket = 0
        # What is being opened: answers for anything else come too late.
        self._asked: Path | None = None
        # Whether a thread opens something, perhaps not what was asked for last.
        self._busy = False
        self._counting: JobThread | None = None
        self._work: list[JobThread] = []
        self.confirmed_share = 1.0

    @property
    def opening(self) -> str:
        """Name of what is being opened, or ""."""
        return self._asked.name if self._asked is not None else ""

    def open_paths(self, paths: Sequence[str | Path]) -> None:
        """Open a video, picture, folder or project; what is open is closed when the other is there."""
        desk = self._desk
        try:
            target = one_target([Path(path) for path in paths])
        except KnownError as error:
            desk.tell_error(error)
            return
        if target != self._asked:
            self._ask(target)
            if not self._busy:
                self._open_asked()
        left = [path for path in paths if Path(path) != target]
        if left and target in map(Path, paths):
            words = tr("{name} is opened: one at a time.", name=target.name)
            more = tr("Not opened: {names}", names=", ".join(Path(path).name for path in left[:3]))
            desk.tell(Message(words, more + ("…" if len(left) > 3 else ""), key="several"))

    def _open_asked(self) -> None:
        """Open what was asked for last, in the background; where it cannot be opened, what is open stays.

        One at a time, for two may need the same project file.
        """
        desk, target = self._desk, self._asked
        self._busy = target is not None
        if target is None:
            return
        thread = JobThread(self)
        thread.result.connect(lambda opened: self._opened(opened, target))
        thread.error.connect(lambda error: self._not_opened(error, target))
        desk.keep_job(thread)
        thread.begin(open_job(target, Path(desk.project.path) if desk.project is not None else None))

    def _ask(self, target: Path | None) -> None:
        if target is not self._asked:
            self._asked = target
            self._desk.opening_changed.emit()

    def _not_opened(self, error: BaseException, target: Path) -> None:
        if target is self._asked:
            self._ask(None)
            self._desk.tell_error(error)
        self._open_asked()

    def _opened(self, opened: Opened | None, target: Path) -> None:
        """Show what was opened, then go on with what was asked for meanwhile."""
        late = target is not self._asked
        wanted = self._asked if late else None
        if opened is None:
            if not late:
                # It needs the project that is held.
                self.close()
                wanted = target
        # What comes late is shown where nothing is: it stays if the other cannot be opened.
        elif not late or (wanted is not None and self._desk.project is None):
            self.close()
            self._show(opened)
        else:
            opened.close()
        self._ask(wanted)
        self._open_asked()

    def _show(self, opened: Opened) -> None:
        desk = self._desk
        desk.set_project(opened.project, opened.media_id)
        if opened.media is not None:
            desk.info = opened.media.info
            desk.frames.open(opened.media)
            settings.remember(desk.info.path, media_note(desk.info))
            self._count()
        else:
            settings.remember(str(opened.project.path))
        desk.media_missing = opened.missing
        frame = int(opened.project.setting("frame", 0)) if desk.info is not None else 0
        desk.start_looking(frame)
        if opened.missing:
            self._tell_missing(Path(opened.missing), foreign=opened.foreign)
        if opened.foreign and opened.media_id is not None:
            self._compare(opened.media_id, opened.missing)
        elif opened.kin is not None and desk.info is not None:
            self._compare(opened.kin, desk.info.path)

    def _tell_missing(self, path: Path, *, foreign: bool) -> None:
        name = path.name
        sentence = tr("{file} is not at its place any more.", file=name)
        if foreign:
            sentence = tr("{file} shows other pictures than those that were corrected.", file=name)
        actions: list[tuple[str, str | Callable[[], object]]] = [(tr("Find…"), "find_media")]
        if foreign:
            actions.append((tr("Use it anyway"), partial(self.relink, path, anyway=True)))
        remedy = tr("Show where it is; what you corrected is kept.")
        self._desk.tell(Message(sentence, remedy, "warning", tuple(actions), key="missing"))

    def _compare(self, media_id: int, path: str) -> None:
        """Look in the background whether a file shows what was corrected, but cut or in another size."""
        if self._desk.project is None:
            return
        thread = self._desk.start_job(compare_job(self._desk.project, media_id, path), tell_errors=False)
        ticket = self._ticket
        thread.result.connect(lambda shift: self._compared(shift, path) if ticket == self._ticket else None)
        self._work.append(thread)
        thread.finished.connect(lambda: self._work.remove(thread) if thread in self._work else None)

    def _compared(self, shift: Shift | None, path: str) -> None:
        """Ask whether corrections should be taken over to a file that shows the same."""
        if shift is None:
            return
        name = Path(path).name
        if shift.offset > 0:
            sentence = tr("{file} shows the same, but begins {n} frames later.", file=name, n=shift.offset)
            if shift.offset == 1:
                sentence = tr("{file} shows the same, but begins one frame later.", file=name)
        elif shift.offset < 0:
            sentence = tr("{file} shows the same, but begins {n} frames earlier.", file=name, n=-shift.offset)
            if shift.offset == -1:
                sentence = tr("{file} shows the same, but begins one frame earlier.", file=name)
        else:
            sentence = tr("{file} shows the same, in another size or length.", file=name)
        remedy = tr("Corrections can be taken over to the frames that show the same; the old ones stay in the project.")
        carry = partial(self._carry, shift, path)
        self._desk.tell(Message(sentence, remedy, "warning", ((tr("Take them over"), carry),), key="missing"))

    def _carry(self, shift: Shift, path: str) -> None:
        """Take corrections over in the background, then show them."""
        if self._desk.project is None:
            return
        thread = self._desk.start_job(carry_job(self._desk.project, shift, path))
        ticket = self._ticket
        thread.result.connect(lambda done: self._carried(*done) if ticket == self._ticket else None)

    def _carried(self, media_id: int, taken: int, left: int) -> None:
        desk = self._desk
        words = tr("The corrections of {n} frames were taken over.", n=taken)
        if taken == 1:
            words = tr("The corrections of one frame were taken over.")
        rest = tr("{n} frames are not in this file or look different there.", n=left) if left > 1 else ""
        if left == 1:
            rest = tr("One frame is not in this file or looks different there.")
        desk.tell(Message(words, rest, "done" if taken else "warning", key="missing"))
        if media_id != desk.media_id:
            self.show_media(media_id)

    def _count(self) -> None:
        """Settle the frame table in the background; edits bind to frames only after it."""
        desk = self._desk
        self.confirmed_share = 1.0
        info = desk.info
        if info is None:
            return
        if info.kind == "video" and info.confirmed:
            self._tell_findings(info)
            return
        media = desk.frames.reopen()
        if media is None:
            return
        # The frames of pictures are settled from the start, but only a look at each file finds the damaged ones.
        self.confirmed_share = 1.0 if info.confirmed else 0.0
        ticket = self._ticket
        thread = JobThread(self)
        thread.job_event.connect(self._counted_some)
        thread.result.connect(lambda pair: self._counted(pair[0], pair[1], ticket))
        thread.error.connect(desk.tell_error)
        desk.keep_job(thread)
        self._counting = thread
        thread.begin(confirm_job(media, thread.job_event.emit, thread.cancelled))

    def _counted_some(self, event: Any) -> None:
        if event.total and self._desk.info is not None and not self._desk.info.confirmed:
            self.confirmed_share = event.done / event.total
            self._desk.confirming.emit(event.done, event.total)

    def _counted(self, media: Media, info: MediaInfo, ticket: int) -> None:
        desk = self._desk
        self._counting = None
        if ticket != self._ticket or desk.project is None or desk.media_id is None or not info.confirmed:
            media.close()
            return
        self.confirmed_share = 1.0
        before, desk.info = desk.info, info
        if before is not None and before.confirmed:
            media.close()
        else:
            desk.frames.settle(media)
        try:
            desk.project.relink_media(desk.media_id, info.path, info)
        except KnownError as error:
            desk.tell_error(error)
        if desk.selection.frame >= info.frame_count:
            desk.select(frame=info.frame_count - 1)
        desk.media_changed.emit()
        self._tell_findings(info)

    def _tell_findings(self, info: MediaInfo) -> None:
        """Say what is wrong with the media; what is only worth knowing stands in the status bar's tooltip."""
        wrong = [tr_sentence(finding.text) for finding in info.findings if finding.code in DAMAGE]
        if wrong:
            sentence = tr("{file}: {what}", file=Path(info.path).name, what=" ".join(wrong))
            remedy = tr("Frames that cannot be read are skipped; corrections of the others are not affected.")
            self._desk.tell(Message(sentence, remedy, "warning", key="findings"))

    def relink(self, path: str | Path, *, anyway: bool = False) -> None:
        """Use the file at ``path`` for the media that is not at its place, then open the project again.

        A file with other pictures is refused, unless the person wants it ``anyway``.
        """
        desk = self._desk
        if desk.project is None or desk.media_id is None:
            return
        from poseviewer.media import open_media

        try:
            with open_media(path) as media:
                if not anyway and not belongs(desk.project, desk.media_id, media):
                    self._tell_missing(Path(path), foreign=True)
                    self._compare(desk.media_id, str(path))
                    return
                desk.project.relink_media(desk.media_id, str(path), media.info)
        except KnownError as error:
            desk.tell_error(error)
            return
        self.open_paths([desk.project.path])

    def show_media(self, media_id: int, frame: int = 0) -> None:
        """Open the project again with another of its media on screen."""
        project = self._desk.project
        if project is None or media_id == self._desk.media_id:
            return
        path = project.path
        self.close(media_id=media_id, frame=frame)
        self.open_paths([path])

    def close(self, *, media_id: int | None = None, frame: int = 0) -> None:
        """Close media and project; a run ends and keeps what it finished."""
        desk = self._desk
        self._ticket += 1
        self._ask(None)
        if desk.project is None and desk.info is None:
            return
        if self._counting is not None:
            self._counting.cancel()
            self._counting = None
        for thread in self._work:
            thread.cancel()
        self._work.clear()
        desk.session.play(playing=False)
        desk.end_run()
        desk.finish_writing()
        project = desk.project
        if project is not None:
            self._remember_place(project, media_id, frame)
        desk.set_project(None, None)
        if project is not None:
            project.close()
        self.confirmed_share = 1.0

    def _remember_place(self, project: Project, media_id: int | None, frame: int) -> None:
        """Remember what to show next time: what is on screen, unless another media is wanted."""
        if media_id is None:
            media_id, frame = self._desk.media_id, self._desk.selection.frame
            if self._desk.info is None:
                return
        try:
            project.set_setting("frame", frame)
            project.set_setting("media", media_id)
        except KnownError as error:
            log.warning("the place could not be remembered: %s", error)


def media_note(info: MediaInfo) -> str:
    """Return the line that the list of recent files shows for a media."""
    if info.kind != "video":
        return tr("1 picture") if info.frame_count == 1 else tr("{n} pictures", n=info.frame_count)
    seconds = round(info.duration_s)
    length = tr("{m} min {s} s", m=seconds // 60, s=seconds % 60) if seconds >= 60 else tr("{s} s", s=seconds)
    return f"{length}, {info.fps:.5g} fps"
