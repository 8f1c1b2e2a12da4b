"""The project: the one place that holds media, runs, predictions, corrections and the journal.

Every method may be called from any thread. A method that writes does so in one transaction and announces one
:class:`Changes` after the commit, on the thread that called, with no lock held.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from poseviewer.core.changes import Changes, Origin
from poseviewer.core.errors import ProjectError
from poseviewer.core.events import Event
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.skeleton import skeleton as bundled_skeleton
from poseviewer.core.values import FrameResult, MediaInfo, Person, Pose
from poseviewer.project import (
    discarding,
    doubts,
    export,
    integrity,
    journal,
    lanes,
    media_rows,
    migrations,
    queries,
    runs,
    schema,
    summary,
    tracks,
)
from poseviewer.project.between import Gap, find_gaps
from poseviewer.project.connection import Database
from poseviewer.project.creation import make_file, read_project_skeleton, replace_skeleton
from poseviewer.project.edits import AnyEdit, edit_joint, edit_name, edit_person
from poseviewer.project.header import read_header
from poseviewer.project.journal import Grouping, RowWriter
from poseviewer.project.lockfile import LockFile
from poseviewer.project.people import read_people, read_predictions
from poseviewer.project.perform import check_bound, perform
from poseviewer.project.rows import (
    Counts,
    Doubt,
    ExportRow,
    FrameRow,
    Include,
    Lanes,
    MediaMatch,
    MediaRow,
    Outcome,
    RunRow,
    SelectionImage,
    Span,
    TrackChange,
    UndoResult,
)
from poseviewer.project.shifts import Shift, find_shift, stored_prints

T = TypeVar("T")
JOB_TURN_S = 0.02
"""How long a job's transaction collects rows before it commits, so that it stays under 50 ms."""


class Project:
    """An open project file.

    Attributes:
        path: of the file.
        skeleton: of every pose in it.
        changes: announces each commit.
        last_person: key of the person that the last edit touched or added, None after a deletion.

    Every method raises ProjectError when the disk, the file or another program stands in the way.
    """

    def __init__(self, database: Database, skeleton: Skeleton, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = database.path
        self.skeleton = skeleton
        self.changes: Event[Changes] = Event()
        self.last_person: str | None = None
        self._database = database
        self._grouping = Grouping(clock)
        self._groups: dict[str, int] = {}

    # --- opening and closing ---

    @classmethod
    def create(
        cls, path: str | Path, skeleton: str | Skeleton = "coco_17", *, clock: Callable[[], float] = time.monotonic
    ) -> Project:
        """Make a new project and open it.

        Args:
            path: of the file, usually ``NAME.poseproj``; nothing may be there.
            skeleton: a bundled one's name, or a skeleton.
            clock: seconds, monotonic; given in tests.

        Raises:
            ProjectError: if something is there or the folder cannot be written to.
        """
        target = Path(os.path.realpath(path))
        chosen = bundled_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
        if target.exists():
            raise ProjectError(f"{target.name} exists already.", file=target, remedy="Choose another name or open it.")
        make_file(target, chosen)
        return cls.open(target, clock=clock)

    @classmethod
    def open(cls, path: str | Path, *, clock: Callable[[], float] = time.monotonic) -> Project:
        """Open a project for this process alone, bringing an older one forward after a copy.

        Args:
            path: of the file.
            clock: seconds, monotonic; given in tests.

        Raises:
            ProjectError: if it is absent, foreign, newer, damaged, or open elsewhere (the sentence says by whom).
        """
        target = Path(os.path.realpath(path))
        if not target.is_file():
            what = "is a folder, not a project" if target.is_dir() else "is not there"
            raise ProjectError(f"{target.name} {what}.", file=target)
        lock = LockFile(target)
        try:
            header = read_header(target)
            migrations.migrate(target, header.version)
            database = Database(target, lock)
        except BaseException:
            lock.release()
            raise
        try:
            with database.read() as db:
                missing = schema.missing_tables(db)
                if missing:
                    raise ProjectError(f"{target.name} is damaged: it lacks {', '.join(missing)}.", file=target)
                held = read_project_skeleton(db, target)
        except BaseException:
            database.close()
            raise
        return cls(database, held, clock)

    def close(self) -> None:
        """Bring everything into the one file and let others open it; does nothing the second time."""
        self._database.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def revision(self) -> int:
        """How many transactions this process has committed."""
        return self._database.revision

    # --- media ---

    def add_media(self, info: MediaInfo) -> int:
        """Add a media and return its id; a media of the same content is not added twice."""
        with self._database.write() as transaction:
            media = media_rows.add(transaction.db, self.path, info)
        self._emit(Changes(frozenset({"media"}), transaction.revision, "view", media, frozenset()))
        return media

    def media_list(self) -> tuple[MediaRow, ...]:
        """Return the media in the order in which they were added."""
        with self._database.read() as db:
            return media_rows.listed(db, self.path)

    def relink_media(self, media: int, path: str | Path, info: MediaInfo) -> None:
        """Store where a media is now, or what is known about it after confirming; saved at once."""
        with self._database.write() as transaction:
            media_rows.relink(transaction.db, self.path, media, path, info)
        self._emit(Changes(frozenset({"media"}), transaction.revision, "view", media, frozenset()))

    def match_media(self, info: MediaInfo, frame_fingerprint: Callable[[int], str] | None = None) -> MediaMatch:
        """Tell which media of the project a file is, after it was moved, renamed or encoded again.

        Args:
            info: of the file.
            frame_fingerprint: returns the fingerprint of a frame of the file, for files of other content: up to 24
                stored ones are compared. Called with no lock held; may be slow.
        """
        with self._database.read() as db:
            found = media_rows.by_content(db, info)
            taken = media_rows.samples(db, info) if found is None and frame_fingerprint is not None else []
        if found is not None:
            return found
        if frame_fingerprint is None:
            return MediaMatch(None, "none")
        return media_rows.by_frames(taken, info, frame_fingerprint)

    def find_shift(self, media: int, told: Mapping[int, str]) -> Shift | None:
        """Tell how the frames of a file (frame -> fingerprint) lie to those of a media; None if they show others."""
        with self._database.read() as db:
            frames, prints = stored_prints(db, media)
        return find_shift(media, frames, prints, told)

    def has_prints(self, media: int) -> bool:
        """Return whether anything is stored about frames of a media, so that another file could contradict it."""
        with self._database.read() as db:
            return media_rows.has_prints(db, media)

    # --- people and edits ---

    def people(self, media: int, frame: int) -> tuple[Person, ...]:
        """Return who is in a frame: by prediction order, then people added by hand."""
        with self._database.read() as db:
            return tuple(entry.person() for entry in read_people(db, self.skeleton, media, frame).shown)

    def predictions(self, media: int, frame: int, run: int, *, as_found: bool = False) -> tuple[Pose, ...]:
        """Return what one run found in a frame, best first, corrections left aside.

        ``as_found``: with the run's own track numbers, whatever they were changed to.
        """
        with self._database.read() as db:
            rows = read_predictions(db, self.skeleton, media, frame, run)
        return tuple(dataclasses.replace(row.pose, track=row.track) if as_found else row.pose for row in rows)

    def apply(self, edit: AnyEdit, *, selection: SelectionImage | None = None, origin: Origin = "view") -> Changes:
        """Perform one edit and its journal entry in one transaction.

        Args:
            edit: what to do.
            selection: what is selected now, for undo to restore; the edit's own target if not given.
            origin: who does it.

        Returns:
            what was announced; ``kinds`` is empty (and nothing announced) if the edit changed nothing.

        Raises:
            ProjectError: if the person is no longer there, or the media is still being indexed and the edit carries no
                fingerprint to bind it to a frame; nothing is changed then.
            ValueError: if the edit does not fit the skeleton.
        """
        return self._perform((edit,), selection, origin, name="", group=None)

    def apply_many(
        self,
        edits: Sequence[AnyEdit],
        *,
        name: str,
        group: str | None = None,
        selection: SelectionImage | None = None,
        origin: Origin = "import",
    ) -> Changes:
        """Perform several edits as one undo step in one transaction.

        Args:
            edits: all of the same media; a hundred or two at a time keep the window quick.
            name: of the step, English.
            group: calls with the same word continue one step, as long as nothing else was edited between.
            selection: as in :meth:`apply`.
            origin: as in :meth:`apply`.
        """
        return self._perform(tuple(edits), selection, origin, name=name, group=group)

    def _perform(
        self,
        edits: Sequence[AnyEdit],
        selection: SelectionImage | None,
        origin: Origin,
        *,
        name: str,
        group: str | None,
    ) -> Changes:
        images: list[journal.Image] = []
        key: str | None = None
        with self._database.write() as transaction:
            db = transaction.db
            step = 0
            for edit in edits:
                check_bound(db, edit)
                writer = RowWriter(db)
                key = perform(db, self.skeleton, writer, edit)
                if writer.images:
                    step = step or self._step(db, edit, group)
                    title = name or edit_name(edit, self.skeleton)
                    journal.record(db, step, title, edit, _selections(edit, key, selection), writer.images)
                    images += writer.images
            touched = self._refresh(db, images)
        self.last_person = key
        if not images:
            return Changes(frozenset(), transaction.revision, origin, frames=frozenset())
        self._groups = {group: step} if group is not None else {}
        self._grouping.done(edits[-1], step)
        return self._announce(touched, transaction.revision, origin)

    def _step(self, db: sqlite3.Connection, edit: AnyEdit, group: str | None) -> int:
        """Return the number of the undo step that ``edit`` belongs to."""
        last = journal.last_step(db)
        joined = group is not None and last is not None and self._groups.get(group) == last
        if last is not None and (joined or self._grouping.joins(edit, last)):
            journal.discard_undone(db)
            return last
        return journal.next_step(db)

    def break_group(self) -> None:
        """Let the next edit begin a new undo step."""
        self._grouping.reset()
        self._groups = {}

    def undo(self) -> UndoResult | None:
        """Take back the newest step; return what to select, or None if there is nothing to undo."""
        return self._replay(journal.undo)

    def redo(self) -> UndoResult | None:
        """Do the step again that was undone last; return what to select, or None if there is nothing to redo."""
        return self._replay(journal.redo)

    def _replay(self, replay: Callable[[sqlite3.Connection], journal.Replayed | None]) -> UndoResult | None:
        self.break_group()
        with self._database.write() as transaction:
            done = replay(transaction.db)
            touched = self._refresh(transaction.db, done.images) if done is not None else None
        if done is None or touched is None:
            return None
        changes = self._announce(touched, transaction.revision, "undo")
        shown = done.selection
        self.last_person = shown.person
        return UndoResult(changes, done.name, shown.media, shown.frame, shown.person, shown.joint, shown.more)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self.undo_name is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self.redo_name is not None

    @property
    def undo_name(self) -> str | None:
        """What undo would take back, English, or None."""
        with self._database.read() as db:
            return journal.names(db)[0]

    @property
    def redo_name(self) -> str | None:
        """What redo would do again, English, or None."""
        with self._database.read() as db:
            return journal.names(db)[1]

    def extras(self, media: int, frame: int) -> dict[str, str]:
        """Return person key -> JSON text that an importer left with the person, where there is one."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT origin, id, extra FROM correction WHERE media = ? AND frame = ? AND extra != ''", (media, frame)
            )
            return {f"c{row}" if origin is None else f"p{origin}": extra for origin, row, extra in rows}

    def gaps(self, media: int, frame: int, person: str | None) -> tuple[Gap, ...]:
        """Return what the edit ``Interpolate`` of a person, or of everybody, would fill; () if an end is missing."""
        with self._database.read() as db:
            return find_gaps(db, self.skeleton, media, frame, person)

    # --- runs ---

    def start_run(self, media: int, config: dict[str, Any], networks: dict[str, Any], frames: Sequence[int]) -> int:
        """Note that a run begins and return its id.

        Args:
            media: id.
            config, networks: what makes it repeatable; JSON-able.
            frames: what it is asked to do, in order.

        Raises:
            ProjectError: if there is no such media.
        """
        with self._database.write(job=True) as transaction:
            run = runs.start(transaction.db, media, config, networks, frames)
        self._emit(Changes(frozenset({"runs"}), transaction.revision, "job", media, frozenset()))
        return run

    def store_results(self, run: int, results: Sequence[FrameResult]) -> None:
        """Store what a run found, empty frames too, in transactions short enough for edits to slip between.

        A frame that this run stored before is left as it is. Corrections are never touched.

        Raises:
            ProjectError: if there is no such run, or poses have another number of joints than the project's skeleton.
        """
        runs.check_results(results, self.skeleton)
        waiting = list(results)
        while waiting:
            with self._database.write(job=True) as transaction:
                media = runs.media_of(transaction.db, run)
                until = time.perf_counter() + JOB_TURN_S
                taken, frames = runs.store(transaction.db, self.skeleton, run, media, waiting, until=until)
            del waiting[:taken]
            self._emit(Changes(frozenset({"predictions"}), transaction.revision, "job", media, frozenset(frames)))

    def finish_run(self, run: int, outcome: Outcome, note: str = "") -> None:
        """Note how a run ended, with one sentence if there is something to say."""
        with self._database.write(job=True) as transaction:
            media = runs.media_of(transaction.db, run)
            runs.finish(transaction.db, run, outcome, note)
        self._emit(Changes(frozenset({"runs"}), transaction.revision, "job", media, frozenset()))

    def run_frames(self, run: int) -> tuple[int, ...]:
        """Return the frames that a run was asked for, in its order."""
        with self._database.read() as db:
            return runs.frames(db, run)

    def unfinished(self, run: int) -> tuple[int, ...]:
        """Return the frames that a run was asked for and has not done, in its order; () if it is complete."""
        with self._database.read() as db:
            return runs.unfinished(db, run)

    def runs(self, media: int | None = None) -> tuple[RunRow, ...]:
        """Return the runs of a media (None: of all), oldest first."""
        with self._database.read() as db:
            return runs.listed(db, media)

    def discard_run(self, run: int) -> Iterator[tuple[int, int]]:
        """Take a run's predictions out, yielding (frames done, in all) after each short transaction.

        Corrections stay, and undo and redo still work. Closing it half way leaves a run of fewer frames, which can be
        discarded again.

        Raises:
            ProjectError: if there is no such run.
        """
        return discarding.discard(self._database, self.skeleton, run, self._emit)

    # --- the timeline and finding things ---

    def lanes(self, media: int, first: int, last: int, columns: int, *, joint: int | None = None) -> Lanes:
        """Return per-column aggregates of frames first..last (inclusive); ``joint`` adds that joint's scores.

        Raises:
            ValueError: if the range is empty.
        """
        with self._database.read() as db:
            return lanes.read_lanes(db, media, first, last, columns, joint)

    def tracks(self, media: int, first: int, last: int) -> tuple[Span, ...]:
        """Return in which of the frames first..last (inclusive) each track is present, by track and frame."""
        with self._database.read() as db:
            return tracks.spans(db, media, first, last)

    def track_changes(self, media: int, first: int, last: int) -> tuple[TrackChange, ...]:
        """Return where in frames first..last (inclusive) somebody changed who is who from there on, by frame."""
        with self._database.read() as db:
            return tracks.changes(db, media, first, last)

    def worth_a_look(self, media: int, limit: int = doubts.LIMIT) -> tuple[Doubt, ...]:
        """Return what is worth a look and not decided yet, the weightiest first."""
        with self._database.read() as db:
            return doubts.worth_a_look(db, self.skeleton, media, limit)

    def has_doubts(self, media: int, frames: Collection[int]) -> bool:
        """Return whether something was ever worth a look in one of some frames, decided or not."""
        with self._database.read() as db:
            return doubts.any_in(db, media, frames)

    def next_of(self, media: int, frame: int, kind: queries.NextKind, step: int = 1) -> int | None:
        """Return the next frame after (``step`` +1) or before (-1) ``frame`` of a kind, or None.

        Doubts are those that ``worth_a_look`` lists, so that a key and the queue lead to the same frames.
        """
        with self._database.read() as db:
            if kind == "doubt":
                return doubts.next_frame(db, self.skeleton, media, frame, forward=step > 0)
            return queries.next_of(db, media, frame, kind, forward=step > 0)

    def corrected_frames(self, media: int) -> tuple[int, ...]:
        """Return the frames in which a person corrected something, in order."""
        with self._database.read() as db:
            return queries.corrected_frames(db, media)

    def frame_row(self, media: int, frame: int) -> FrameRow | None:
        """Return the summary of a frame, or None if nothing is known about it."""
        with self._database.read() as db:
            return summary.read_frame(db, media, frame)

    def counts(self) -> Counts:
        """Return how much there is in the project."""
        with self._database.read() as db:
            return queries.counts(db)

    # --- settings, export, checks ---

    def setting(self, key: str, default: T) -> T:
        """Return a setting, or ``default`` if it was never set."""
        with self._database.read() as db:
            row = db.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return default if row is None else msgspec.json.decode(row[0])

    def set_setting(self, key: str, value: object) -> None:
        """Store a JSON-able setting."""
        with self._database.write() as transaction:
            transaction.db.execute(
                "INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (key, msgspec.json.encode(value).decode())
            )
        self._emit(Changes(frozenset({"settings"}), transaction.revision, "view", frames=frozenset()))

    def use_skeleton(self, skeleton: Skeleton) -> bool:
        """Take another joint set; only a project in which nobody is or was can. Returns whether it did."""
        with self._database.write() as transaction:
            if taken := replace_skeleton(transaction.db, skeleton):
                self.skeleton = skeleton
        if taken:
            self._emit(Changes(frozenset({"settings"}), transaction.revision, "job", frames=frozenset()))
        return taken

    def export_rows(self, include: Include, media: int | None = None) -> Iterator[ExportRow]:
        """Yield frames with their people, by media and frame, read page by page.

        Args:
            include: corrections (frames that were corrected, with their corrected people), predictions (frames that a
                run processed, with the people nobody corrected; empty frames too) or all.
            media: id, or None for all.

        Raises:
            CallError: if ``include`` is none of these.
        """
        export.check_include(include)
        return self._pages(include, media)

    def _pages(self, include: Include, media: int | None) -> Iterator[ExportRow]:
        for row in self.media_list():
            if media not in (None, row.id):
                continue
            after = -1
            while True:
                with self._database.read() as db:
                    found = export.page(db, self.skeleton, include, row.id, after, row.info.fps)
                yield from found
                if len(found) < export.PAGE:
                    break
                after = found[-1].frame

    def check(self) -> tuple[str, ...]:
        """Return one sentence for each kind of damage in the file; () if it is sound. Reads everything."""
        with self._database.read() as db:
            return integrity.problems(db, self.skeleton)

    def rebuild(self) -> None:
        """Work out the timeline's tables again, in short transactions."""
        for row in self.media_list():
            first: int | None = 0
            while first is not None:
                with self._database.write(job=True) as transaction:
                    first = integrity.rebuild(transaction.db, self.skeleton, row.id, first)

    # --- inside ---

    def _refresh(self, db: sqlite3.Connection, images: Sequence[journal.Image]) -> journal.Touched:
        """Work out the summaries of the frames that ``images`` changed."""
        touched = journal.touched(images)
        for media, frames in touched.frames.items():
            summary.refresh(db, self.skeleton, media, sorted(frames))
        return touched

    def _announce(self, touched: journal.Touched, revision: int, origin: Origin) -> Changes:
        media = next(iter(touched.frames)) if len(touched.frames) == 1 else None
        frames = None if touched.many or media is None else frozenset(touched.frames[media])
        changes = Changes(touched.kinds, revision, origin, media, frames)
        self._emit(changes)
        return changes

    def _emit(self, changes: Changes) -> None:
        self.changes.emit(changes)


def _selections(
    edit: AnyEdit, key: str | None, selection: SelectionImage | None
) -> tuple[SelectionImage, SelectionImage]:
    """Return what undo and what redo of ``edit`` select."""
    person, joint = edit_person(edit), edit_joint(edit)
    after = SelectionImage(edit.media, edit.frame, key, joint)
    if selection is not None and joint is None and key is not None and person == selection.person:
        # An edit of several joints leaves them selected.
        after = SelectionImage(edit.media, edit.frame, key, selection.joint, selection.more)
    return selection or SelectionImage(edit.media, edit.frame, person, joint), after
