"""Performing edits: what each one does to the rows, inside the transaction that ``Project.apply`` opened.

The first edit of a predicted person makes a correction with that prediction as origin; the prediction stays as it is.

Symbols: K joints.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import ProjectError
from poseviewer.core.geometry import keypoints_box
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, VISIBLE, MediaInfo, Pose
from poseviewer.project import edits
from poseviewer.project.between import Gap, blend, find_gaps, follow
from poseviewer.project.blobs import pack, pack_bytes
from poseviewer.project.journal import RowWriter
from poseviewer.project.people import (
    Entry,
    FramePeople,
    predicted_visibility,
    read_people,
    same_person,
)
from poseviewer.project.rows import CorrectionRow, PredictionRow
from poseviewer.project.tracks import END, Mapping, renamed, write_mapping


@dataclass(slots=True)
class Desk:
    """What performing one edit needs: connection, skeleton, writer and the people of the edit's frame."""

    db: sqlite3.Connection
    skeleton: Skeleton
    writer: RowWriter
    people: FramePeople

    def entry(self, edit: edits.AnyEdit, key: str) -> Entry:
        """Return the person called ``key``: shown, deleted, or a prediction that a newer run replaced meanwhile.

        Raises:
            ProjectError: if there is nobody of that key in the frame.
        """
        found = self.people.entry(key)
        if found is not None:
            return found
        for correction in self.people.corrections:
            if correction.key == key and correction.deleted and isinstance(edit, edits.RevertToPrediction):
                return Entry(None, correction)
        if key.startswith("p") and key[1:].isdigit() and all(c.key != key for c in self.people.corrections):
            row = self.db.execute(
                f"SELECT {PredictionRow.COLUMNS} FROM prediction WHERE id = ? AND media = ? AND frame = ?",
                (int(key[1:]), edit.media, edit.frame),
            ).fetchone()
            if row is not None:
                read = [PredictionRow.read(row, self.skeleton.count)]
                return Entry(renamed(self.db, edit.media, edit.frame, read)[0], None)
        raise ProjectError(f"This person is no longer in frame {edit.frame}.")

    def correction(self, edit: edits.AnyEdit, entry: Entry) -> CorrectionRow:
        """Return the person's correction, made from the prediction if there is none yet."""
        if entry.correction is not None:
            return entry.correction
        if entry.prediction is None:
            raise ProjectError(f"This person is no longer in frame {edit.frame}.")
        pose = entry.prediction.pose
        pose = Pose(np.nan_to_num(pose.keypoints), np.nan_to_num(pose.scores), pose.box, pose.score, pose.track)
        row = self.insert(edit, pose, predicted_visibility(pose), origin=entry.prediction.id, run=entry.prediction.run)
        return self.read(row)

    def insert(
        self,
        edit: edits.AnyEdit,
        pose: Pose,
        visibility: npt.NDArray[np.uint8],
        *,
        origin: int | None = None,
        run: int | None = None,
        extra: str = "",
    ) -> int:
        """Insert a correction and return its id."""
        fingerprint, timestamp = self._frame_facts(edit)
        return self.writer.insert(
            "correction",
            {
                "media": edit.media,
                "frame": edit.frame,
                "origin": origin,
                "run": run,
                "deleted": 0,
                "score": float(pose.score),
                "track": pose.track,
                "box": pack(pose.box),
                "keypoints": pack(pose.keypoints),
                "scores": pack(pose.scores),
                "visibility": pack_bytes(visibility),
                "fingerprint": fingerprint,
                "timestamp": timestamp,
                "extra": extra,
                "changed": time.time(),
            },
        )

    def _frame_facts(self, edit: edits.AnyEdit) -> tuple[str, float | None]:
        if edit.fingerprint and edit.timestamp_s is not None:
            return edit.fingerprint, edit.timestamp_s
        row = self.db.execute(
            "SELECT fingerprint, timestamp FROM frame WHERE media = ? AND frame = ?", (edit.media, edit.frame)
        ).fetchone() or ("", None)
        return edit.fingerprint or row[0], edit.timestamp_s if edit.timestamp_s is not None else row[1]

    def read(self, row: int) -> CorrectionRow:
        """Return a correction by id."""
        found = self.db.execute(f"SELECT {CorrectionRow.COLUMNS} FROM correction WHERE id = ?", (row,)).fetchone()
        return CorrectionRow.read(found, self.skeleton.count)

    def change(self, correction: CorrectionRow, **values: Any) -> str:
        """Change columns of a correction and return its key."""
        self.writer.update("correction", correction.id, {**values, "changed": time.time()})
        return correction.key

    def target(self, edit: edits.AnyEdit, key: str) -> CorrectionRow:
        """Return the correction of the person called ``key``, made if need be."""
        return self.correction(edit, self.entry(edit, key))

    def joints(self, joints: tuple[int, ...]) -> list[int]:
        """Return joint indices as a list.

        Raises:
            ValueError: if the skeleton has no such joint.
        """
        if any(not 0 <= joint < self.skeleton.count for joint in joints):
            raise ValueError(f"joints {joints} are not all in skeleton {self.skeleton.name}")
        return list(joints)

    def pose_of(self, edit: edits.AddPerson | edits.ReplacePose) -> tuple[Pose, npt.NDArray[np.uint8]]:
        """Return the pose and the visibility that an edit carries.

        Raises:
            ValueError: if it has another number of joints than the skeleton.
        """
        count = self.skeleton.count
        if len(edit.keypoints) != count:
            raise ValueError(f"keypoints must have {count} entries for skeleton {self.skeleton.name}")
        given = edit.visibility if edit.visibility is not None else (VISIBLE,) * count
        visibility = np.array(given, dtype=np.uint8)
        keypoints = np.array(edit.keypoints, dtype=np.float32)
        box = edit.box if edit.box is not None else keypoints_box(keypoints, visibility > ABSENT)
        scores = np.array(edit.scores if edit.scores is not None else np.zeros(count), dtype=np.float32)
        track = edit.track if isinstance(edit, edits.AddPerson) else None
        return Pose(keypoints, scores, np.asarray(box, dtype=np.float32), float(edit.score or 0.0), track), visibility


def perform(db: sqlite3.Connection, skeleton: Skeleton, writer: RowWriter, edit: edits.AnyEdit) -> str | None:
    """Do one edit and return the key of the person to select, None for nobody.

    Raises:
        ProjectError: if the person is no longer there, or has nothing to revert to.
        ValueError: if the edit does not fit the skeleton.
    """
    desk = Desk(db, skeleton, writer, read_people(db, skeleton, edit.media, edit.frame))
    return _DOERS[type(edit)](desk, edit)


def check_bound(db: sqlite3.Connection, edit: edits.AnyEdit) -> None:
    """Check that an edit can be bound to a frame of content.

    While a media is still being indexed its frame numbers may shift, so an edit must then carry the fingerprint of
    the frame it was made on.

    Raises:
        ProjectError: if the media is unknown, or not confirmed yet and the edit has no fingerprint.
        ValueError: if the frame number is negative.
    """
    if edit.frame < 0:
        raise ValueError(f"frame {edit.frame} of an edit is negative")
    row = db.execute("SELECT info FROM media WHERE id = ?", (edit.media,)).fetchone()
    if row is None:
        raise ProjectError(f"The project has no media {edit.media}.")
    if edit.fingerprint:
        return
    info = msgspec.json.decode(row[0], type=MediaInfo)
    if not info.confirmed:
        name = os.path.basename(info.path)
        raise ProjectError(f"{name} is still being indexed, so edits cannot be bound to its frames yet.")


def _move_joint(desk: Desk, edit: edits.MoveJoint) -> str:
    (joint,) = desk.joints((edit.joint,))
    correction = desk.target(edit, edit.person)
    keypoints = correction.pose.keypoints.copy()
    keypoints[joint] = (edit.x, edit.y)
    visibility = correction.visibility.copy()
    if edit.visibility is not None:
        visibility[joint] = edit.visibility
    elif visibility[joint] == ABSENT:
        visibility[joint] = VISIBLE
    return desk.change(correction, keypoints=pack(keypoints), visibility=pack_bytes(visibility))


def _set_visibility(desk: Desk, edit: edits.SetVisibility) -> str:
    joints = desk.joints(edit.joints)
    correction = desk.target(edit, edit.person)
    visibility = correction.visibility.copy()
    visibility[joints] = edit.visibility
    return desk.change(correction, visibility=pack_bytes(visibility))


def _add_person(desk: Desk, edit: edits.AddPerson) -> str:
    pose, visibility = desk.pose_of(edit)
    return f"c{desk.insert(edit, pose, visibility, run=desk.people.run, extra=edit.extra)}"


def _replace_pose(desk: Desk, edit: edits.ReplacePose) -> str:
    pose, visibility = desk.pose_of(edit)
    correction = desk.target(edit, edit.person)
    values: dict[str, Any] = {"keypoints": pack(pose.keypoints), "visibility": pack_bytes(visibility)}
    if edit.box is not None:
        values["box"] = pack(pose.box)
    if edit.scores is not None:
        values["scores"] = pack(pose.scores)
    if edit.score is not None:
        values["score"] = edit.score
    return desk.change(correction, **values)


def _set_box(desk: Desk, edit: edits.SetBox) -> str:
    return desk.change(desk.target(edit, edit.person), box=pack(edit.box))


def _delete_person(desk: Desk, edit: edits.DeletePerson) -> None:
    entry = desk.entry(edit, edit.person)
    correction = entry.correction
    if correction is not None and correction.origin is None and not desk.people.beneath.get(correction.id):
        desk.writer.delete("correction", correction.id)  # Added by hand: no run ever claimed this person.
        return
    desk.change(desk.correction(edit, entry), deleted=1)


def _swap_sides(desk: Desk, edit: edits.SwapSides) -> str:
    joints = desk.joints(edit.joints) or list(range(desk.skeleton.count))
    order = list(range(desk.skeleton.count))
    for joint in joints:
        other = desk.skeleton.flip[joint]
        order[joint], order[other] = other, joint
    correction = desk.target(edit, edit.person)
    pose = correction.pose
    return desk.change(
        correction,
        keypoints=pack(pose.keypoints[order]),
        scores=pack(pose.scores[order]),
        visibility=pack_bytes(correction.visibility[order]),
    )


def _accept(desk: Desk, edit: edits.AcceptPrediction) -> str:
    return desk.target(edit, edit.person).key


def _revert(desk: Desk, edit: edits.RevertToPrediction) -> str:
    correction = desk.entry(edit, edit.person).correction
    if correction is None:
        raise ProjectError("This person is a prediction already.")
    beneath = desk.people.beneath.get(correction.id, [])
    if correction.origin is None and not beneath:
        raise ProjectError("This person was added by hand, so there is no prediction to revert to.")
    desk.writer.delete("correction", correction.id)
    return f"p{beneath[0].id}" if beneath else f"p{correction.origin}"


def _set_track(desk: Desk, edit: edits.SetTrack) -> str:
    entry = desk.entry(edit, edit.person)
    old, new = entry.pose.track, edit.track
    if old == new:
        return entry.key
    if edit.scope == "frame" or old is None:
        rival = next((e for e in desk.people.shown if new is not None and e.pose.track == new), None)
        key = desk.change(desk.correction(edit, entry), track=new)
        if rival is not None:
            desk.change(desk.correction(edit, rival), track=old)
        return key
    mapping: Mapping = {old: new} if new is None else {old: new, new: old}
    _renumber(desk, edit.media, mapping, edit.frame if edit.scope == "forward" else 0)
    return entry.key


def _swap_tracks(desk: Desk, edit: edits.SwapTracks) -> str:
    entry, other = desk.entry(edit, edit.person), desk.entry(edit, edit.other)
    mine, theirs = entry.pose.track, other.pose.track
    if mine is None or theirs is None:
        raise ProjectError("Somebody without a track cannot be swapped.", remedy="Run the media with a tracker first.")
    if mine != theirs:
        _renumber(desk, edit.media, {mine: theirs, theirs: mine}, edit.frame)
    return entry.key


def _renumber(desk: Desk, media: int, mapping: Mapping, first: int) -> None:
    """Show tracks under other numbers from frame ``first`` to the end: a rule for every run, and the corrections."""
    runs = desk.db.execute(
        "SELECT id FROM run WHERE media = ? AND EXISTS"
        " (SELECT 1 FROM run_frame WHERE run_frame.run = run.id AND run_frame.frame >= ?) ORDER BY id",
        (media, first),
    )
    for (run,) in runs.fetchall():
        rule = {"media": media, "run": run, "first": first, "last": END, "mapping": write_mapping(mapping)}
        desk.writer.insert("track", rule)
    marks = ", ".join("?" * len(mapping))
    found = desk.db.execute(
        f"SELECT id, track FROM correction WHERE media = ? AND track IN ({marks}) AND frame >= ?",
        (media, *mapping, first),
    ).fetchall()
    for row, track in found:
        desk.writer.update("correction", row, {"track": mapping[track]})


def _copy_people(desk: Desk, edit: edits.CopyPeople) -> str | None:
    source = read_people(desk.db, desk.skeleton, edit.media, edit.from_frame)
    chosen = [entry for entry in source.shown if edit.person in (None, entry.key)]
    if not chosen:
        raise ProjectError(f"There is nobody to copy in frame {edit.from_frame}.")
    free = list(desk.people.shown)
    key = None
    for entry in chosen:
        here = _same_person(desk.skeleton, entry, free)
        pose = entry.pose
        if here is None:
            zeros = np.zeros(desk.skeleton.count, dtype=np.float32)
            copy = Pose(pose.keypoints, zeros, pose.box, 0.0, pose.track)
            key = f"c{desk.insert(edit, copy, entry.visibility, run=desk.people.run)}"
            continue
        free.remove(here)
        key = desk.change(
            desk.correction(edit, here),
            keypoints=pack(pose.keypoints),
            visibility=pack_bytes(entry.visibility),
            box=pack(pose.box),
        )
    return key


def _interpolate(desk: Desk, edit: edits.Interpolate) -> str | None:
    gaps = find_gaps(desk.db, desk.skeleton, edit.media, edit.frame, edit.person)
    if not gaps:
        raise ProjectError(f"No two corrections of one person lie on both sides of frame {edit.frame}.")
    stamps = {frame: (seconds, mark) for frame, seconds, mark in edit.stamps}
    for gap in gaps:
        start = read_people(desk.db, desk.skeleton, edit.media, gap.first).entry(gap.start)
        end = read_people(desk.db, desk.skeleton, edit.media, gap.last).entry(gap.end)
        if start is None or end is None:
            continue
        held = start
        for frame in range(gap.first + 1, gap.last):
            seconds, mark = stamps.get(frame, (None, ""))
            here = msgspec.structs.replace(edit, frame=frame, timestamp_s=seconds, fingerprint=mark)
            pose, visibility = blend(start, end, _share(gap, frame, stamps))
            people = read_people(desk.db, desk.skeleton, edit.media, frame)
            inner = Desk(desk.db, desk.skeleton, desk.writer, people)
            held = _fill(inner, here, pose, visibility, held) or held
    return edit.person


def _share(gap: Gap, frame: int, stamps: dict[int, tuple[float, str]]) -> float:
    """Return how far along its gap a frame is, by time where that is known, else by number."""
    if all(one in stamps for one in (gap.first, frame, gap.last)):
        first, here, last = (stamps[one][0] for one in (gap.first, frame, gap.last))
        if last > first:
            return (here - first) / (last - first)
    return (frame - gap.first) / (gap.last - gap.first)


def _fill(
    desk: Desk, edit: edits.Interpolate, pose: Pose, visibility: npt.NDArray[np.uint8], held: Entry
) -> Entry | None:
    """Put an interpolated pose in a frame, but never over what a person corrected or deleted there.

    Args:
        desk: of the frame.
        edit: naming the frame.
        pose, visibility: what to put there.
        held: the same person in a frame before.

    Returns:
        the person as they were in this frame, or None if they were not there.
    """
    shown = desk.people.shown
    here = follow(desk.skeleton, held, shown)
    if here is None:
        index = same_person(desk.skeleton, pose, visibility, [entry.pose for entry in shown])
        here = None if index is None else shown[index]
    if here is None:
        # Looked at after those who are shown: a double that was deleted resembles the one who stayed.
        gone = [Entry(None, correction) for correction in desk.people.corrections if correction.deleted]
        known = same_person(desk.skeleton, pose, visibility, [entry.pose for entry in gone])
        if known is None and follow(desk.skeleton, held, gone) is None:
            desk.insert(edit, pose, visibility, run=desk.people.run)
    elif here.correction is None:
        columns = {"keypoints": pack(pose.keypoints), "visibility": pack_bytes(visibility), "box": pack(pose.box)}
        desk.change(desk.correction(edit, here), **columns)
    return here


def _same_person(skeleton: Skeleton, entry: Entry, others: list[Entry]) -> Entry | None:
    index = same_person(skeleton, entry.pose, entry.visibility, [other.pose for other in others])
    return None if index is None else others[index]


_DOERS: dict[type, Callable[[Desk, Any], str | None]] = {
    edits.MoveJoint: _move_joint,
    edits.SetVisibility: _set_visibility,
    edits.AddPerson: _add_person,
    edits.ReplacePose: _replace_pose,
    edits.SetBox: _set_box,
    edits.DeletePerson: _delete_person,
    edits.SwapSides: _swap_sides,
    edits.AcceptPrediction: _accept,
    edits.RevertToPrediction: _revert,
    edits.SetTrack: _set_track,
    edits.SwapTracks: _swap_tracks,
    edits.CopyPeople: _copy_people,
    edits.Interpolate: _interpolate,
}
