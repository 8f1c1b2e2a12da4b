"""Taking corrections over to a file that was cut, scaled or encoded anew: frames are matched by what they show."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from poseviewer.core.errors import MediaError
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.values import Frame, MediaInfo, Person
from poseviewer.media import Media, frame_fingerprint
from poseviewer.project import Project, edits
from poseviewer.project.media_rows import SAME_BITS, distance
from poseviewer.project.shifts import Shift

MOST_SCANNED = 4000
"""Frames of a file that are looked at; of a longer one evenly spread ones."""
AT_ONCE = 50
NAME = "Take corrections over"


def look_for_shift(project: Project, media_id: int, media: Media) -> Generator[JobEvent, None, Shift | None]:
    """Return how the frames of ``media`` lie to those of a media of the project, or None if they show something else.

    Args:
        project: open.
        media_id: whose stored fingerprints are compared.
        media: decoder of the calling thread.
    """
    count = media.info.frame_count
    wanted = sorted({number * count // min(count, MOST_SCANNED) for number in range(min(count, MOST_SCANNED))})
    told = yield from read_prints(media, wanted)
    return project.find_shift(media_id, told)


def read_prints(media: Media, wanted: list[int]) -> Generator[JobEvent, None, dict[int, str]]:
    """Return frame -> fingerprint of the frames in ``wanted`` (ascending) that can be read."""
    meter = ProgressMeter(len(wanted))
    told: dict[int, str] = {}
    for frame in _readable(media, wanted):
        told[frame.index] = frame_fingerprint(frame.pixels)
        if event := meter.step(text="comparing frames"):
            yield event
    return told


def _readable(media: Media, wanted: list[int]) -> Iterator[Frame]:
    """Yield the frames that can be read, in order."""
    left = wanted
    while left:
        done = 0
        try:
            for frame in media.frames(left):
                done += 1
                yield frame
            return
        except MediaError:
            left = left[done + 1 :]


def carry_over(project: Project, shift: Shift, media: Media) -> Generator[JobEvent, None, tuple[int, int, int]]:
    """Copy the corrections of a media to the frames of a file that show the same, in one undo step.

    The file becomes a media of the project if it is none yet. What is corrected in frames that the file does not have,
    or that look different there, stays where it is only.

    Returns:
        id of the file's media, how many corrected frames were taken over, and how many were not.
    """
    info = media.info
    target = project.add_media(info)
    before = next(row.info for row in project.media_list() if row.id == shift.media)
    frames = project.corrected_frames(shift.media)
    meter = ProgressMeter(len(frames))
    taken = 0
    for start in range(0, len(frames), AT_ONCE):
        made: list[edits.AnyEdit] = []
        part = frames[start : start + AT_ONCE]
        for frame in part:
            copied = _copies(project, shift, frame, target, before, media)
            taken += bool(copied)
            made += copied
        if made:
            project.apply_many(made, name=NAME, group=f"carry {shift.media} {target}", origin="view")
        if event := meter.step(len(part)):
            yield event
    return target, taken, len(frames) - taken


def _copies(
    project: Project, shift: Shift, frame: int, target: int, before: MediaInfo, media: Media
) -> list[edits.AnyEdit]:
    """Return the edits that put the corrected people of one frame into the file's; [] if it does not show the same."""
    here = frame - shift.offset
    row = project.frame_row(shift.media, frame)
    if row is None or not 0 <= here < media.info.frame_count or project.people(target, here):
        return []
    try:
        pixels = media.frame(here).pixels
    except MediaError:
        return []
    mark = frame_fingerprint(pixels)
    if row.fingerprint and distance(row.fingerprint, mark) > SAME_BITS:
        return []
    scale = (media.info.size_wh[0] / before.size_wh[0], media.info.size_wh[1] / before.size_wh[1])
    extras = project.extras(shift.media, frame)
    seconds = float(media.timestamps[here])
    return [
        _copy(person, target, here, scale, extras.get(person.key, ""), mark, seconds)
        for person in project.people(shift.media, frame)
        if person.state == "corrected"
    ]


def _copy(
    person: Person, media: int, frame: int, scale: tuple[float, float], extra: str, mark: str, seconds: float
) -> edits.AddPerson:
    sx, sy = scale
    x1, y1, x2, y2 = person.pose.box.tolist()
    return edits.AddPerson(
        media,
        frame,
        # Pixel centres are whole numbers, so half a pixel goes along.
        tuple(((x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5) for x, y in person.pose.keypoints.tolist()),
        visibility=tuple(person.visibility.tolist()),
        box=((x1 + 0.5) * sx - 0.5, (y1 + 0.5) * sy - 0.5, (x2 + 0.5) * sx - 0.5, (y2 + 0.5) * sy - 0.5),
        track=person.pose.track,
        scores=tuple(person.pose.scores.tolist()),
        score=person.pose.score,
        extra=extra,
        fingerprint=mark,
        timestamp_s=seconds,
    )
