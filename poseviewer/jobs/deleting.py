"""Taking things out of a project, many frames at a time: everybody who has one track, or what a run found."""

from __future__ import annotations

from collections.abc import Generator

from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.project import Project, edits

AT_ONCE = 100
"""Frames of one transaction, so that what a person does meanwhile slips between."""

NAME = "Delete person"


def delete_track(
    project: Project, media: int, track: int, first: int, last: int, *, group: str
) -> Generator[JobEvent, None, int]:
    """Delete whoever has ``track`` in frames first..last (inclusive); return in how many frames that was.

    What is closed half way keeps the frames that were done.

    Args:
        project: open.
        media: id.
        track: number.
        first, last: 0-based frames.
        group: edits applied with this word just before belong to the same undo step.
    """
    spans = [span for span in project.tracks(media, first, last) if span.track == track]
    frames = [frame for span in spans for frame in range(span.first, span.last + 1)]
    meter = ProgressMeter(len(frames))
    done = 0
    for start in range(0, len(frames), AT_ONCE):
        part = frames[start : start + AT_ONCE]
        gone = [
            edits.DeletePerson(media, frame, person.key)
            for frame in part
            for person in project.people(media, frame)
            if person.pose.track == track
        ]
        if gone:
            project.apply_many(gone, name=NAME, group=group, origin="view")
        done += len({edit.frame for edit in gone})
        if event := meter.step(len(part)):
            yield event
    return done


def discard_run(project: Project, run: int) -> Generator[JobEvent, None, int]:
    """Discard what a run found, corrections excepted; return in how many frames that was.

    Closing it half way leaves a run of fewer frames.

    Raises:
        ProjectError: if there is no such run.
    """
    meter = ProgressMeter(0)
    done = 0
    for done, total in project.discard_run(run):
        meter.total = total
        if event := meter.step(done - meter.done):
            yield event
    return done
