"""What a hand does to poses by keys and menus: each method asks the desk to apply one edit."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import keypoints_box
from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE, FrameResult, Person
from poseviewer.ui.messages import DELETE_SCOPE, Message
from poseviewer.ui.parts import DeskParts
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.project import Project
    from poseviewer.project.edits import CopyPeople

LEAST_SCORE = 0.15
"""A proposed joint below this peak value is absent until a person places it."""
NUDGES = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


class Hand:
    """The correcting actions of the desk, by action id."""

    def __init__(self, desk: DeskParts) -> None:
        self._desk = desk
        self._waiting: tuple[CopyPeople, int | None] | None = None
        self.actions: dict[str, Callable[[], object]] = {
            "accept": self.accept,
            "revert": self.revert,
            "occluded": self.toggle_occluded,
            "absent": self.absent,
            "delete_joint": self.delete,
            "delete_person": self.delete_person,
            "swap_sides": self.swap_sides,
            "swap_joint": self.swap_joint,
            "copy_previous": self.copy_previous,
            "copy_next": self.copy_next,
            "interpolate": self.interpolate,
            "accept_next": self.accept_next,
            "next_peak": self.next_peak,
            "previous_peak": lambda: self.next_peak(-1),
            "joint_next": lambda: self.step_joint(1),
            "joint_previous": lambda: self.step_joint(-1),
            "joint_next_tab": lambda: self.step_joint(1),
            "joint_previous_tab": lambda: self.step_joint(-1),
            "joints_all": self.choose_all_joints,
            "person_next": lambda: self.step_person(1),
            "person_previous": lambda: self.step_person(-1),
            "deselect": self.deselect,
        }
        for name, (dx, dy) in NUDGES.items():
            self.actions[f"nudge_{name}"] = lambda x=dx, y=dy: self.nudge(x, y)  # type: ignore[misc]
            self.actions[f"nudge_{name}_10"] = lambda x=dx, y=dy: self.nudge(10 * x, 10 * y)  # type: ignore[misc]
        for number in range(9):
            self.actions[f"person_{number + 1}"] = lambda n=number: self.choose_person(n)  # type: ignore[misc]

    # --- choosing ---

    def choose_person(self, number: int) -> None:
        """Select the person with 0-based ``number`` in the list."""
        people = self._desk.people
        if number < len(people):
            self._desk.select(person=people[number].key)

    def step_person(self, step: int) -> None:
        """Select the next or previous person."""
        people = self._desk.people
        if not people:
            return
        keys = [person.key for person in people]
        now = self._desk.selection.person
        place = keys.index(now) + step if now in keys else (0 if step > 0 else -1)
        self._desk.select(person=keys[place % len(keys)])

    def step_joint(self, step: int) -> None:
        """Select the next or previous joint, of the first person if nobody is selected."""
        desk = self._desk
        if desk.person is None:
            self.step_person(1)
        if desk.person is None:
            return
        joint = desk.joint
        place = (joint + step) if joint is not None else (0 if step > 0 else desk.skeleton.count - 1)
        desk.select(joint=place % desk.skeleton.count)

    def choose_all_joints(self) -> None:
        """Select all joints of the person that are there."""
        person = self._person()
        if person is None:
            return
        present = [int(joint) for joint in np.flatnonzero(person.visibility != ABSENT)]
        if present:
            joint = self._desk.joint if self._desk.joint in present else present[0]
            self._desk.select(joint=joint, more=frozenset(present))

    def deselect(self) -> None:
        """Leave the joint first, then the person."""
        if self._desk.joint is not None:
            self._desk.select(joint=None)
        else:
            self._desk.select(person=None)

    # --- joints ---

    def _joint(self) -> tuple[Person, int] | None:
        person, joint = self._desk.person, self._desk.joint
        if person is None or joint is None:
            self._desk.tell(Message(tr("Choose a joint first."), tr("Click one, or press S."), key="choose"))
            return None
        return person, joint

    def _person(self) -> Person | None:
        person = self._desk.person
        if person is None:
            self._desk.tell(Message(tr("Choose a person first."), tr("Click one, or press 1 to 9."), key="choose"))
        return person

    def nudge(self, dx: float, dy: float) -> None:
        """Move the selected joints by whole pixels; without one, the whole selected person."""
        if self._desk.person is not None and self._desk.joint is None:
            self.move_body(self._desk.person, dx, dy, nudge=True)
            return
        chosen = self._joint()
        if chosen is None:
            return
        person, joint = chosen
        if self._desk.selection.more:
            self.move_joints(person, self._desk.selection.joints, dx, dy, nudge=True)
            return
        x, y = person.pose.keypoints[joint]
        self.move_joint(person, joint, float(x) + dx, float(y) + dy, nudge=True)

    def move_joint(self, person: Person, joint: int, x: float, y: float, *, nudge: bool = False) -> bool:
        """Move a joint to frame pixels; an absent one becomes visible. Nudges that follow each other are one step."""
        from poseviewer.project import edits

        visibility = VISIBLE if person.visibility[joint] == ABSENT else None
        media, frame = self._desk.place()
        return self._desk.apply(edits.MoveJoint(media, frame, person.key, joint, x, y, visibility, nudge))

    def move_joints(self, person: Person, joints: Sequence[int], dx: float, dy: float, *, nudge: bool = False) -> bool:
        """Move several joints together as one step; absent ones stay. Nudges that follow each other are one step."""
        from poseviewer.project import edits

        media, frame = self._desk.place()
        keypoints = moved_joints(person, joints, np.array([dx, dy])).tolist()
        edit = edits.ReplacePose(media, frame, person.key, keypoints, person.visibility.tolist(), nudge=nudge)
        return self._desk.apply_together((edit,), f"Move {len(joints)} joints")

    def move_body(self, person: Person, dx: float, dy: float, *, nudge: bool = False) -> bool:
        """Move all joints and the box of a person. Nudges that follow each other are one step."""
        from poseviewer.project import edits

        media, frame = self._desk.place()
        shift = np.array([dx, dy])
        keypoints = (person.pose.keypoints + shift).tolist()
        box = (person.pose.box + np.tile(shift, 2)).tolist()
        visibility = person.visibility.tolist()
        return self._desk.apply(edits.ReplacePose(media, frame, person.key, keypoints, visibility, box, nudge=nudge))

    def set_visibility(self, person: Person, joints: Sequence[int], visibility: int) -> bool:
        """Set joints to visible, occluded or absent."""
        from poseviewer.project import edits

        media, frame = self._desk.place()
        return self._desk.apply(edits.SetVisibility(media, frame, person.key, tuple(joints), visibility))

    def toggle_occluded(self) -> None:
        """Switch the selected joints between occluded and visible, as the first of them; an absent one is occluded."""
        chosen = self._joint()
        if chosen is not None:
            person, joint = chosen
            other = VISIBLE if person.visibility[joint] == OCCLUDED else OCCLUDED
            self.set_visibility(person, self._desk.selection.joints, other)

    def absent(self) -> None:
        """Switch the selected joints between absent and visible, as the first of them."""
        chosen = self._joint()
        if chosen is not None:
            person, joint = chosen
            other = VISIBLE if person.visibility[joint] == ABSENT else ABSENT
            self.set_visibility(person, self._desk.selection.joints, other)

    def next_peak(self, step: int = 1) -> None:
        """Move the selected joint to the next-best peak of its heatmap, round to the best again."""
        chosen = self._joint()
        if chosen is None:
            return
        person, joint = chosen
        peaks = self._desk.peaks(person.key, joint)
        if not peaks:
            self._desk.tell(
                Message(tr("No evidence for this frame yet"), tr("Run this frame with R."), key="no-evidence")
            )
            return
        here = person.pose.keypoints[joint]
        distance = [float(np.hypot(peak.x - here[0], peak.y - here[1])) for peak in peaks]
        nearest = int(np.argmin(distance))
        size = float(np.sqrt(max(np.prod(person.pose.box[2:] - person.pose.box[:2]), 1.0)))
        if person.visibility[joint] != ABSENT and distance[nearest] < 0.05 * size:
            if len(peaks) == 1:
                self._desk.tell(Message(tr("This heatmap has one peak only."), key="one-peak"))
                return
            target = peaks[(nearest + step) % len(peaks)]
        else:
            target = peaks[0 if step > 0 else -1]
        self.move_joint(person, joint, target.x, target.y)

    # --- persons ---

    def accept(self) -> None:
        """Confirm the selected prediction, or every prediction of the frame if nobody is selected."""
        self._accept([self._desk.person] if self._desk.person is not None else list(self._desk.people))

    def accept_next(self) -> None:
        """Confirm everybody in the frame as they are, then go to the next frame that is worth a look."""
        predicted = [person for person in self._desk.people if person.state == "predicted"]
        if not predicted or self._accept(predicted):
            self._desk.do("next_doubt")

    def _accept(self, people: Sequence[Person]) -> bool:
        from poseviewer.project import edits

        media, frame = self._desk.place()
        chosen = [edits.AcceptPrediction(media, frame, one.key) for one in people if one.state == "predicted"]
        if len(chosen) == 1:
            return self._desk.apply(chosen[0])
        return self._desk.apply_together(chosen, "Accept predictions")

    def revert(self) -> None:
        """Drop the correction of the selected person."""
        from poseviewer.project import edits

        person = self._person()
        if person is not None and person.state == "corrected" and person.prediction is not None:
            media, frame = self._desk.place()
            self._desk.apply(edits.RevertToPrediction(media, frame, person.key))

    def delete(self) -> None:
        """Mark the selected joints absent; without a joint delete the person."""
        person, joints = self._desk.person, self._desk.selection.joints
        if person is not None and joints:
            self.set_visibility(person, joints, ABSENT)
        else:
            self.delete_person()

    def delete_person(self) -> None:
        """Delete the selected person in this frame; offer the other frames of their track without asking first."""
        from poseviewer.project import edits

        person = self._person()
        if person is None:
            return
        desk = self._desk
        number, track = desk.person_number(person.key), person.pose.track
        media, frame = desk.place()
        group = f"delete {person.key} {time.monotonic_ns()}"
        edit = edits.DeletePerson(media, frame, person.key)
        if desk.apply_together((edit,), "Delete person", group=group) and track is not None:
            self._offer_track(number, media, frame, track, group)

    def _offer_track(self, number: int, media: int, frame: int, track: int, group: str) -> None:
        """Say that a person is deleted in one frame only, with two buttons for the rest of their track."""
        desk = self._desk
        if desk.project is None or desk.info is None:
            return
        last = desk.info.frame_count - 1
        spans = [span for span in desk.project.tracks(media, 0, last) if span.track == track]
        before = sum(min(span.last, frame - 1) - span.first + 1 for span in spans if span.first < frame)
        after = sum(span.last - max(span.first, frame + 1) + 1 for span in spans if span.last > frame)
        if not before and not after:
            return
        choices: list[tuple[str, str | Callable[[], object]]] = []
        if after:
            words = tr("From here on ({n})", n=after)
            choices.append((words, partial(self._delete_track, desk.project, media, track, frame, last, group)))
        if before:
            words = tr("Whole track ({n})", n=before + after)
            choices.append((words, partial(self._delete_track, desk.project, media, track, 0, last, group)))
        sentence = tr("Person {n} is deleted in this frame.", n=number)
        remedy = tr("Track {track} is in other frames too.", track=track)
        desk.tell(Message(sentence, remedy, actions=tuple(choices), key=DELETE_SCOPE))

    def _delete_track(self, project: Project, media: int, track: int, first: int, last: int, group: str) -> None:
        """Delete a track's person in many frames, in the same undo step as the frame it began with."""
        from poseviewer.jobs.deleting import delete_track

        desk = self._desk
        # Media are numbered in each project: the same number in another one is another media.
        if desk.project is not project or media != desk.media_id or not desk.may_edit():
            return
        desk.saving.emit()
        thread = desk.start_job(delete_track(project, media, track, first, last, group=group), writes=True)
        thread.error.connect(lambda _: desk.not_saved.emit())
        thread.result.connect(lambda count: self._deleted(track, count))

    def _deleted(self, track: int, count: int) -> None:
        self._desk.saved.emit(dt.datetime.now())
        words = tr("track {track} deleted in {n} more frames", track=track, n=count)
        if count == 1:
            words = tr("track {track} deleted in one more frame", track=track)
        self._desk.noted.emit(words)

    def swap_sides(self) -> None:
        """Swap the left and right joints of the selected person."""
        from poseviewer.project import edits

        person = self._person()
        if person is not None:
            media, frame = self._desk.place()
            self._desk.apply(edits.SwapSides(media, frame, person.key))

    def swap_joint(self) -> None:
        """Swap the selected joints with their counterparts on the other side."""
        from poseviewer.project import edits

        chosen = self._joint()
        if chosen is not None:
            media, frame = self._desk.place()
            self._desk.apply(edits.SwapSides(media, frame, chosen[0].key, self._desk.selection.joints))

    def interpolate(self) -> None:
        """Fill the frames between two corrections of the selected person, or of everybody if nobody is selected."""
        from poseviewer.project import edits

        desk = self._desk
        media, frame = desk.place()
        if desk.project is None:
            return
        person = desk.selection.person
        gaps = desk.project.gaps(media, frame, person)
        if not gaps:
            sentence = tr("There are no two corrections of this person around this frame.")
            if person is None:
                sentence = tr("Nobody is corrected on both sides of this frame.")
            desk.tell(Message(sentence, tr("Correct the person here and some frames on, then press I."), key="between"))
            return
        first, last = min(gap.first for gap in gaps), max(gap.last for gap in gaps)
        words = filled_words(first, last, len(gaps))
        project = desk.project

        def fill(read: dict[int, str]) -> None:
            if desk.project is not project or desk.media_id != media:
                return
            seconds = desk.timestamps
            known = range(first, min(last + 1, len(seconds)))
            marks = {one: read.get(one) or desk.frames.fingerprint(one) for one in known}
            stamps = tuple((one, float(seconds[one]), marks[one]) for one in known)
            if desk.apply(edits.Interpolate(media, frame, person=person, stamps=stamps)):
                desk.noted.emit(words)

        self._with_prints(project, media, range(first + 1, last), fill)

    def _with_prints(
        self, project: Project, media: int, frames: Sequence[int], act: Callable[[dict[int, str]], object]
    ) -> None:
        """Call ``act`` with the fingerprints of those frames that neither the project nor the cache knows.

        They are read in the background; where all are known, as after a run, ``act`` is called at once.
        """
        desk = self._desk

        def unknown(frame: int) -> bool:
            row = project.frame_row(media, frame)
            return not (row is not None and row.fingerprint) and not desk.frames.fingerprint(frame)

        wanted = [frame for frame in frames if unknown(frame)]
        decoder = desk.reopen_media() if wanted and desk.may_edit() else None
        if decoder is None:
            act({})
            return
        from poseviewer.jobs.carrying import read_prints

        thread = desk.start_job(read_prints(decoder, wanted))
        thread.result.connect(act)
        thread.finished.connect(decoder.close)

    def copy_next(self) -> None:
        """Copy the selected person, or everybody, to the next frame, and go there."""
        from poseviewer.project import edits

        desk = self._desk
        media, frame = desk.place()
        if desk.info is None or frame + 1 >= desk.info.frame_count:
            desk.tell(Message(tr("There is no frame after this one."), key="copy"))
            return
        if not desk.people:
            desk.tell(Message(tr("Nobody is in this frame."), key="copy"))
            return
        edit = edits.CopyPeople(media, frame + 1, frame, desk.selection.person)
        joint = desk.joint
        desk.select(frame=frame + 1)
        if desk.frame_exact:
            self._copy(edit, joint)
        else:
            self._waiting = (edit, joint)

    def frame_arrived(self) -> None:
        """Do what waited for the exact frame, if that is still the one on screen."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting[0].frame == self._desk.selection.frame:
            self._copy(*waiting)

    def _copy(self, edit: CopyPeople, joint: int | None) -> None:
        desk = self._desk
        if desk.apply(edit) and edit.person is not None and desk.project is not None:
            desk.select(person=desk.project.last_person, joint=joint)

    def copy_previous(self) -> None:
        """Copy the selected person's pose from the frame before, or everybody if nobody is selected."""
        from poseviewer.project import edits

        media, frame = self._desk.place()
        if frame == 0 or self._desk.project is None:
            self._desk.tell(Message(tr("There is no frame before this one."), key="copy"))
            return
        before = self._desk.project.people(media, frame - 1)
        if not before:
            self._desk.tell(Message(tr("Nobody is in the frame before."), key="copy"))
            return
        chosen = self._desk.person
        source = nearest_person(chosen, before) if chosen is not None else None
        self._desk.apply(edits.CopyPeople(media, frame, frame - 1, source.key if source is not None else None))

    def add_from_result(self, result: FrameResult, person_key: str | None) -> bool:
        """Make a person of the one candidate in ``result``, or replace the pose of ``person_key`` by it."""
        from poseviewer.project import edits

        if result.evidence is None or not len(result.evidence.candidates.keypoints):
            self._desk.tell(Message(tr("The estimator found no joints in this box."), key="box"))
            return False
        found = result.evidence.candidates
        keypoints, scores, box = found.keypoints[0], found.scores[0], found.boxes[0]
        visibility = np.where(scores >= LEAST_SCORE, VISIBLE, ABSENT).astype(int)
        media, frame = self._desk.place()
        if person_key is None:
            edit: object = edits.AddPerson(
                media, frame, keypoints.tolist(), visibility.tolist(), box.tolist(), scores=scores.tolist()
            )
        else:
            edit = edits.ReplacePose(media, frame, person_key, keypoints.tolist(), visibility.tolist(), box.tolist())
        return self._desk.apply(edit)


def moved_joints(person: Person, joints: Sequence[int], way: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the ``(K, 2)`` keypoints of a person with those of ``joints`` that are there moved by ``way`` pixels."""
    keypoints = np.array(person.pose.keypoints, dtype=np.float32)
    there = [joint for joint in joints if person.visibility[joint] != ABSENT]
    keypoints[there] += way.astype(np.float32)
    return keypoints


def filled_words(first: int, last: int, people: int) -> str:
    """Return what was interpolated between the frames ``first`` and ``last``, for the status line."""
    if people == 1:
        return tr("frames {first} to {last} filled for one person", first=first + 1, last=last - 1)
    return tr("frames {first} to {last} filled for {n} people", first=first + 1, last=last - 1, n=people)


def nearest_person(person: Person | None, others: tuple[Person, ...]) -> Person | None:
    """Return who of ``others`` is the same person: same track, else the nearest pose within half its size."""
    if person is None or not others:
        return None
    if person.pose.track is not None:
        for other in others:
            if other.pose.track == person.pose.track:
                return other
    present = person.visibility > 0
    if not present.any():
        return None
    size = pose_size(person)
    distance = [_distance(person.pose.keypoints, other.pose.keypoints, present) for other in others]
    best = int(np.argmin(distance))
    return others[best] if distance[best] < 0.25 * size else None


def pose_size(person: Person) -> float:
    """Return the square root of the box's area in pixels, at least 1."""
    box = np.asarray(person.pose.box, dtype=np.float64)
    if not box.any():
        box = np.asarray(keypoints_box(person.pose.keypoints, person.visibility > 0), dtype=np.float64)
    return float(np.sqrt(max(float(np.prod(box[2:] - box[:2])), 1.0)))


def _distance(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating], present: npt.NDArray[np.bool_]) -> float:
    return float(np.linalg.norm(a[present] - b[present], axis=-1).mean())
