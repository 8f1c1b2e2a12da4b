"""The desk: what every view is given. It joins project, frames, engine and session, and owns no pixels of its own.

Views read properties, listen to signals and ask by methods; they never write to each other. Every signal is emitted
on the window's thread. Edits go through :meth:`Desk.apply` and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from poseviewer.core.changes import Changes
from poseviewer.core.errors import KnownError, MediaError
from poseviewer.core.progress import JobEvent
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.core.values import PICTURE_RATE, Frame, FrameResult, MediaInfo, Person, Pose, Suppression
from poseviewer.session import Display, Playhead, Selection, Session
from poseviewer.ui import settings
from poseviewer.ui.corrector import Corrector
from poseviewer.ui.evidence import EvidenceKeeper
from poseviewer.ui.frames import FrameKeeper
from poseviewer.ui.hand import Hand, nearest_person
from poseviewer.ui.jobs import Jobs
from poseviewer.ui.messages import DELETE_SCOPE, Message, of_error
from poseviewer.ui.moving import Moving
from poseviewer.ui.opener import Opener
from poseviewer.ui.parts import Peak, State
from poseviewer.ui.runs import Runs
from poseviewer.ui.text import tr
from poseviewer.ui.threads import EngineThread, JobThread

if TYPE_CHECKING:
    from poseviewer.media import Media
    from poseviewer.ops.nms_config import NmsConfig
    from poseviewer.pipeline.config import PipelineConfig
    from poseviewer.pipeline.regrouping import Regrouped
    from poseviewer.project import Project

log = logging.getLogger("poseviewer.desk")


class Desk(QObject):
    """Project, frames, engine and session in one place.

    Signals (arguments in brackets):
        project_opened: another project or media is shown, or none; read everything anew.
        media_changed: the info of the open media changed (its frame table was confirmed).
        opening_changed: ``opening`` changed.
        changes (Changes): a transaction was committed, by whom its origin tells.
        selection_changed, display_changed, playhead_changed: the session's three values.
        frame_changed: ``frame`` or ``frame_exact`` changed.
        people_changed: ``people`` were read anew.
        evidence_changed, what_if_changed: see the properties.
        cached_changed: ``cached_spans()`` changed.
        config_changed: ``config`` or ``device_name`` changed.
        confirming (int, int): frames done, in all, of the background frame count.
        job_event (JobEvent), job_ended (object): of the running run; ended with its report, an exception, or None
            when it was cancelled.
        running_changed: ``running`` changed.
        saving, saved (datetime), not_saved: around each edit; saved only after the commit returned.
        message (Message): something to say.
        withdrawn (str): key of a message that does not hold any more.
        noted (str): what was just done, a few words for the status line.
        action_requested (str): an action id that is not the desk's own; window, canvas or dialogs do it.
    """

    project_opened = Signal()
    media_changed = Signal()
    opening_changed = Signal()
    changes = Signal(object)
    selection_changed = Signal()
    display_changed = Signal()
    playhead_changed = Signal()
    frame_changed = Signal()
    people_changed = Signal()
    evidence_changed = Signal()
    what_if_changed = Signal()
    cached_changed = Signal()
    config_changed = Signal()
    confirming = Signal(int, int)
    job_event = Signal(object)
    job_ended = Signal(object)
    running_changed = Signal()
    saving = Signal()
    saved = Signal(object)
    not_saved = Signal()
    message = Signal(object)
    withdrawn = Signal(str)
    noted = Signal(str)
    action_requested = Signal(str)
    _committed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = Session()
        self.project: Project | None = None
        self.media_id: int | None = None
        self.info: MediaInfo | None = None
        self.media_missing = ""
        self.people: tuple[Person, ...] = ()
        self._followed: Person | None = None
        self._skeleton = skeleton("coco_17")
        self._jobs = Jobs(self)
        self.frames = FrameKeeper(self)
        self.runs = Runs(self, self)
        self._opener = Opener(self, self)
        self._evidence = EvidenceKeeper(self, self)
        self._corrector = Corrector(self)
        self._hand = Hand(self)
        self._moving = Moving(self, self)
        self.session.play(picture_rate=max(settings.value("picture_rate", PICTURE_RATE), 0.1))
        self._connect()

    def _connect(self) -> None:
        self.session.changed.connect(self._session_changed)
        self._committed.connect(self._on_changes)
        self.frames.changed.connect(self._on_frame)
        self.frames.cached_changed.connect(self.cached_changed)
        self.frames.error.connect(self.tell_error)
        self.runs.answer.connect(self._evidence.answer)
        self.runs.job_event.connect(self.job_event)
        self.runs.ended.connect(self._run_ended)
        self.runs.running_changed.connect(self.running_changed)
        self.runs.config_changed.connect(self.config_changed)
        self.runs.config_changed.connect(self._evidence.config_changed)
        self._evidence.changed.connect(self.evidence_changed)
        self._evidence.what_if_changed.connect(self.what_if_changed)

    # --- what views read ---

    @property
    def selection(self) -> Selection:
        """What is looked at: media, frame, person, joint."""
        return self.session.selection

    @property
    def display(self) -> Display:
        """How it is drawn."""
        return self.session.display

    @property
    def playhead(self) -> Playhead:
        """How time passes: playing, speed, loop, range."""
        return self.session.playhead

    @property
    def skeleton(self) -> Skeleton:
        """The project's joint set, COCO's 17 joints while nothing is open."""
        return self._skeleton

    @property
    def frame(self) -> Frame | None:
        """The picture on screen; of another frame than the selected one while ``frame_exact`` is False."""
        return self.frames.frame

    @property
    def frame_exact(self) -> bool:
        """Whether ``frame`` is the selected frame itself."""
        return self.frames.exact

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        """``(n,)`` seconds of the frames."""
        return self.frames.timestamps

    @property
    def person(self) -> Person | None:
        """The selected person."""
        return self.person_by_key(self.selection.person) if self.selection.person is not None else None

    @property
    def joint(self) -> int | None:
        """The selected joint."""
        return self.selection.joint

    @property
    def editable(self) -> bool:
        """Whether edits are bound to frames already: something is open and its frame table is confirmed."""
        return self.project is not None and self.info is not None and self.info.confirmed

    @property
    def evidence(self) -> FrameResult | None:
        """Result of the selected frame with its Evidence, or None."""
        return self._evidence.result

    @property
    def evidence_state(self) -> State:
        """None, loading, ready, stale or error."""
        return self._evidence.state

    @property
    def evidence_seconds(self) -> float:
        """How long the evidence took."""
        return self._evidence.seconds

    @property
    def what_if(self) -> tuple[Suppression, tuple[Pose, ...]] | None:
        """Suppression and survivors with the thresholds last asked by ``what_if_nms``."""
        return self._evidence.what_if

    @property
    def regrouped(self) -> Regrouped | None:
        """What the grouping limit last asked by ``what_if_grouping`` would do."""
        return self._evidence.regrouped

    def person_by_key(self, key: str) -> Person | None:
        """Return the person of the selected frame that has ``key``, or None."""
        return next((person for person in self.people if person.key == key), None)

    def person_number(self, key: str) -> int:
        """Return the 1-based number under which a person of the selected frame is listed, 0 if there is none."""
        return next((number for number, person in enumerate(self.people, 1) if person.key == key), 0)

    def candidate_of(self, person_key: str) -> int | None:
        """Return the index of the candidate in ``evidence`` that a person came from, or None."""
        return self._evidence.candidate_of(person_key)

    def peaks(self, person_key: str, joint: int) -> tuple[Peak, ...]:
        """Return the peaks of a joint's heatmap in frame pixels, best first; empty without evidence."""
        return self._evidence.peaks(person_key, joint)

    def cached_spans(self) -> list[tuple[int, int]]:
        """Return the inclusive spans of frames that are decoded."""
        return self.frames.cached_spans()

    def place(self) -> tuple[int, int]:
        """Return (media id, frame index) of the selection, as edits want them.

        Raises:
            MediaError: if nothing is open.
        """
        if self.media_id is None:
            raise MediaError("Nothing is open.", remedy="Open a video first.")
        return self.media_id, self.selection.frame

    def reopen_media(self) -> Media | None:
        """Return a second decoder of the open media for another thread, or None."""
        return self.frames.reopen()

    # --- looking ---

    def select(self, **fields: Any) -> None:
        """Replace fields of the selection; a frame is clipped to the media."""
        if "frame" in fields:
            count = self.info.frame_count if self.info is not None else 1
            fields["frame"] = min(max(int(fields["frame"]), 0), max(count - 1, 0))
        self.session.select(**fields)

    def show(self, **fields: Any) -> None:
        """Replace fields of the display."""
        self.session.show(**fields)

    def play(self, **fields: Any) -> None:
        """Replace fields of the playhead."""
        self.session.play(**fields)

    def do(self, action_id: str) -> None:
        """Do an action of the table; what is not the desk's own goes out as ``action_requested``."""
        act = self._own_actions().get(action_id)
        if act is None:
            self.action_requested.emit(action_id)
            return
        needs_media = action_id in self._hand.actions or action_id in self._moving.actions
        if needs_media and self.media_id is None:
            return
        try:
            act()
        except KnownError as error:
            self.tell_error(error)

    def count_repeats(self, *, repeated: bool) -> None:
        """Count how often the key that is down repeated itself; a single step grows while it is held."""
        self._moving.repeats = self._moving.repeats + 1 if repeated else 0

    def _own_actions(self) -> dict[str, Callable[[], object]]:
        display = {f"show_{name}": partial(self._toggle, name) for name in _TOGGLES}
        return {
            **self._hand.actions,
            **self._moving.actions,
            **display,
            "snap": partial(self._toggle, "snap"),
            "colour_by": lambda: self.show(colour_by="side" if self.display.colour_by == "track" else "track"),
            "brighter": lambda: self._light(0.05),
            "darker": lambda: self._light(-0.05),
            "light_reset": lambda: self.show(brightness=0.0, contrast=1.0),
            "undo": self.undo,
            "redo": self.redo,
            "run_frame": lambda: self.run([self.selection.frame]),
            "run_range": lambda: self.run(self.range_frames()),
            "run_all": lambda: self.run(range(self.info.frame_count if self.info else 0)),
            "run_continue": self.continue_run,
            "cancel_run": self.cancel_run,
            "close": self.close_media,
        }

    def _toggle(self, name: str) -> None:
        self.show(**{name: not getattr(self.display, name)})

    def _light(self, step: float) -> None:
        self.show(brightness=round(min(max(self.display.brightness + step, -1.0), 1.0), 3))

    def range_frames(self) -> range:
        """Return the frames between the brackets, all frames without brackets."""
        if self.info is None:
            return range(0)
        first, last = self.playhead.span(self.info.frame_count)
        return range(first, last + 1)

    # --- opening ---

    def open_paths(self, paths: Sequence[str | Path]) -> None:
        """Open a video, picture, folder or project; what is open is closed when the other is there."""
        self._opener.open_paths(paths)

    def show_media(self, media_id: int, frame: int = 0) -> None:
        """Show another media of the open project."""
        self._opener.show_media(media_id, frame)

    def relink(self, path: str | Path) -> None:
        """Use the file at ``path`` for the media that is not at its place."""
        self._opener.relink(path)

    def close_media(self) -> None:
        """Close media and project; a run ends and keeps what it finished."""
        self._opener.close()

    @property
    def opening(self) -> str:
        """Name of what is being opened, or ""."""
        return self._opener.opening

    @property
    def confirmed_share(self) -> float:
        """0..1 of the background frame count; 1 when it is done or not needed."""
        return self._opener.confirmed_share

    def set_project(self, project: Project | None, media_id: int | None) -> None:
        """Hold another project, or none; for the opener, which opens and closes it."""
        self.withdrawn.emit(DELETE_SCOPE)
        self._evidence.clear()
        self.frames.close()
        self.info, self.media_missing, self.people, self._followed = None, "", (), None
        if self.project is not None:
            self.project.changes.disconnect(self._hear)
        self.project, self.media_id = project, media_id
        if project is not None:
            project.changes.connect(self._hear)
            self._skeleton = project.skeleton
        else:
            self.session.select(media=None, frame=0, person=None, joint=None)
            self.project_opened.emit()
            self.people_changed.emit()

    def start_looking(self, frame: int) -> None:
        """Show ``frame`` of what was just opened."""
        last = max(self.info.frame_count - 1, 0) if self.info is not None else 0
        self.session.play(playing=False, first=None, last=None)
        self.session.select(media=self.media_id, frame=min(max(frame, 0), last), person=None, joint=None)
        self._read_people()
        self.project_opened.emit()
        if self.info is not None:
            self.frames.show(self.selection.frame)

    def shutdown(self) -> None:
        """Close everything and stop every thread; call before the window goes."""
        self.close_media()
        self.runs.stop()
        self._jobs.stop()

    # --- correcting ---

    def apply(self, edit: Any) -> bool:
        """Apply one edit in one transaction; ``saved`` follows the commit. Returns whether it was done."""
        return self._corrector.apply(edit)

    def apply_together(self, edits: Sequence[Any], name: str, *, group: str | None = None) -> bool:
        """Apply several edits as one undo step called ``name``; ``group`` lets a later call continue it."""
        return self._corrector.apply_together(edits, name, group=group)

    def undo(self) -> None:
        """Take the last step back and show where it was."""
        self._corrector.travel("undo")

    def redo(self) -> None:
        """Do the step again and show where it is."""
        self._corrector.travel("redo")

    def may_edit(self) -> bool:
        """Return whether edits are bound to frames already; say so in the window if not."""
        return self._corrector.may_edit()

    def next_peak(self, step: int = 1) -> None:
        """Move the selected joint to the next-best peak of its heatmap."""
        self._hand.next_peak(step)

    @property
    def hand(self) -> Hand:
        """The correcting actions: moving joints, visibility, persons."""
        return self._hand

    # --- the engine ---

    @property
    def engine(self) -> EngineThread:
        """The thread that computes; takes requests and jobs."""
        return self.runs.engine

    @property
    def config(self) -> PipelineConfig:
        """What the next run computes."""
        return self.runs.config

    def set_config(self, config: PipelineConfig) -> None:
        """Use ``config`` for the next run; another device gets a new engine."""
        self.runs.set_config(config)

    def evidence_config(self) -> PipelineConfig:
        """Return the configuration of the run that found the people of this frame, so that both match."""
        return self.runs.evidence_config()

    def other_weights(self) -> tuple[int, tuple[str, ...]]:
        """Return the run of ``evidence_config`` and the names of weights that were replaced since it, normally none."""
        from poseviewer.jobs.continuing import other_weights

        row = self.runs.evidence_run() if self._evidence.weights else None
        return (0, ()) if row is None else (row.id, other_weights(row.networks, self._evidence.weights))

    @property
    def device_name(self) -> str:
        """Where the engine computes, "" until torch is loaded."""
        return self.runs.device_name

    @property
    def running(self) -> bool:
        """Whether a run is going."""
        return self.runs.running

    def has_prediction_here(self) -> bool:
        """Return whether a run processed the selected frame."""
        if self.project is None or self.media_id is None:
            return False
        row = self.project.frame_row(self.media_id, self.selection.frame)
        return row is not None and row.run is not None

    def request_evidence(self, boxes: npt.NDArray[np.floating] | None = None) -> None:
        """Ask for the evidence of the selected frame now, of the detector's people or of ``(n, 4)`` boxes."""
        self._evidence.request(boxes)

    def what_if_nms(self, nms: NmsConfig) -> None:
        """Ask what suppression would have done with ``nms``; the answer comes as ``what_if``."""
        self._evidence.request_nms(nms)

    def what_if_grouping(self, limit: float) -> None:
        """Ask what grouping would have done with ``limit``; the answer comes as ``regrouped``."""
        self._evidence.request_grouping(limit)

    def run_on_box(self, box: npt.ArrayLike, person_key: str | None = None) -> None:
        """Run the estimator on a box of the selected frame; the pose becomes a new person or replaces one."""
        if self.may_edit() and not self._evidence.request_box(np.asarray(box, dtype=np.float32), person_key):
            self.tell(Message(tr("The exact frame is still being decoded."), key="decoding"))

    def box_answered(self, frame: int, person_key: str | None, result: FrameResult) -> None:
        """Make the answer of ``run_on_box`` an edit, if its frame is still selected."""
        if frame != self.selection.frame or self.project is None:
            return
        before = {person.key for person in self.people}
        if self._hand.add_from_result(result, person_key):
            added = [person.key for person in self.people if person.key not in before]
            self.select(person=person_key or (added[-1] if added else None))

    def run(self, frames: Sequence[int]) -> None:
        """Run the pipeline over ``frames`` in the background, streaming predictions into the project."""
        self.runs.run(frames)

    def continue_run(self) -> None:
        """Run the frames that the newest stopped run left out."""
        self.runs.continue_run()

    def cancel_run(self) -> None:
        """End the run after the present batch; finished frames are kept."""
        self.runs.cancel()

    def end_run(self) -> None:
        """End a run and wait until it wrote what it had: its project is about to close."""
        self.runs.end()

    def _run_ended(self, outcome: object) -> None:
        self.job_ended.emit(outcome)
        self._evidence.people_changed()

    # --- messages and threads ---

    def tell(self, message: Message) -> None:
        """Say something in the window."""
        self.message.emit(message)

    def tell_error(self, error: BaseException) -> None:
        """Say what is wrong in one sentence; a traceback goes to the log only."""
        self.message.emit(of_error(error))

    def start_job(self, job: Iterator[JobEvent], *, tell_errors: bool = True, writes: bool = False) -> JobThread:
        """Run a job generator on a thread of its own; connect to the signals of what is returned.

        Errors are told in the window, unless ``tell_errors`` is False and the caller shows them. The project waits for
        a job that ``writes`` into it before it closes, so that nothing that was asked for is lost; it must be short.
        """
        thread = self._jobs.start(job, writes=writes)
        if tell_errors:
            thread.error.connect(self.tell_error)
        return thread

    def finish_writing(self) -> None:
        """Wait for the jobs that write into the project, which is about to close."""
        self._jobs.finish_writing()

    def keep_job(self, thread: JobThread) -> None:
        """Hold ``thread`` until it is finished, and wait for it at shutdown."""
        self._jobs.keep(thread)

    # --- what happened ---

    def _hear(self, changes: Changes) -> None:
        """Bring a change home; called on the thread that committed."""
        self._committed.emit(changes)

    def _on_changes(self, changes: Changes) -> None:
        if self.project is None or self.media_id is None:
            return
        frame = self.selection.frame
        if changes.touches("settings") and self._skeleton != self.project.skeleton:
            self._skeleton = self.project.skeleton
            self.session.select(joint=None)
            self.people_changed.emit()
        if any(changes.touches(kind, self.media_id, frame) for kind in ("predictions", "corrections", "tracks")):
            self._read_people()
        self.changes.emit(changes)

    def _read_people(self, *, follow: Person | None = None) -> None:
        if self.project is None or self.media_id is None:
            self.people = ()
        else:
            self.people = tuple(self.project.people(self.media_id, self.selection.frame))
        key = self.selection.person
        if follow is not None:
            found = nearest_person(follow, self.people)
            self.session.select(person=found.key if found is not None else None)
        elif key is not None and self.person_by_key(key) is None:
            self.session.select(person=None)
        self._evidence.people_changed()
        self.people_changed.emit()

    def _session_changed(self, what: frozenset[str]) -> None:
        if "selection" in what:
            self._moved()
        if "display" in what:
            self.display_changed.emit()
        if "playhead" in what:
            self._moving.playhead_changed()
            self.playhead_changed.emit()

    def _moved(self) -> None:
        """React to a selection: another frame brings other people, and follows who was selected."""
        chosen = self.selection
        if self.info is not None and chosen.media is not None and self.frames.wanted != chosen.frame:
            self.frames.show(chosen.frame)
            self._evidence.frame_changed()
            self._read_people(follow=self._followed if chosen.person is None else None)
            self._moving.moved()
            self._followed = self.person or self._followed
        else:
            self._evidence.selection_changed()
            self._followed = self.person
        self.selection_changed.emit()

    def _on_frame(self) -> None:
        self.frame_changed.emit()
        if self.frame_exact:
            self._hand.frame_arrived()
            self._evidence.selection_changed()


_TOGGLES = ("skeleton", "boxes", "labels", "trails", "fade", "heat", "tag_map", "half_peak", "crop", "loupe")
