"""The demo: a clip made on the spot, predicted, partly corrected, with one doubled person to find."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from poseviewer.core.errors import FormatError, KnownError, ProjectError
from poseviewer.core.geometry import oks
from poseviewer.core.progress import JobEvent, Note
from poseviewer.core.values import ABSENT, FrameResult, Person, Pose
from poseviewer.formats.coco_export import ExportOptions
from poseviewer.jobs.demo_clip import TruePerson, true_people, write_clip
from poseviewer.jobs.draw import contact_sheet, draw_people, grid
from poseviewer.jobs.export import export
from poseviewer.jobs.frames import write_picture
from poseviewer.jobs.overlay import overlay_video
from poseviewer.jobs.predict import predict
from poseviewer.media import Media, frame_fingerprint, open_media
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.project import Project, edits

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks

VERSION = 1
CORRECTED_FRAMES = (12, 40, 104)
DOUBLED_FRAMES = range(62, 68)
LOOK_FRAMES = (12, 40, 64, 78, 104, 140)
"""Frames that are drawn as pictures."""
OFF_PX = 4.0
"""A joint that is further off than this is moved by the demo's corrections."""
LOOSER_IOU = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SURER_BOXES = (0.3, 0.4, 0.5, 0.6)
"""Least box scores that are tried where a looser box NMS lets more than one too many through."""


class DemoFiles(msgspec.Struct, frozen=True):
    """Where everything of a headless demo is."""

    folder: Path
    project: Path
    clip: Path
    overlay: Path
    pictures: tuple[Path, ...]
    sheet: Path
    coco: Path

    def files(self) -> dict[str, Path]:
        """Return what each path is, in words."""
        return {
            "the clip": self.clip,
            "the project": self.project,
            "skeletons over the clip": self.overlay,
            "skeletons over some frames": self.pictures[0],
            "contact sheet, heatmaps and crops": self.sheet,
            "COCO file": self.coco,
        }


def make_demo(folder: str | Path) -> Generator[JobEvent, None, Path]:
    """Make the demo project in ``folder`` and return its path; one of the same weights is kept with its edits.

    Raises:
        KnownError: if the folder cannot be written, or photographs or weights are missing.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"The folder {folder} cannot be made: {error.strerror}.", file=folder) from error
    path, clip = folder / "demo.poseproj", folder / "people.mp4"
    if path.exists():
        if _is_complete(path) and clip.exists():
            return path
        _remove_unfinished(path)
    if not clip.exists():
        yield Note("Making a clip of people.")
        write_clip(clip)
    with Project.create(path) as project, open_media(clip) as media:
        project.set_setting("demo", "unfinished")
        media_id = project.add_media(media.confirm())
        yield Note("Predicting it.")
        yield from _predict(project, media, media_id)
        yield Note("Correcting a few frames.")
        for frame in CORRECTED_FRAMES:
            _correct(project, media, media_id, frame)
        project.set_setting("demo", _stamp())
    return path


def _stamp() -> str:
    """Say of which version and which bundled weights a demo is; evidence of other weights would not fit its people."""
    from poseviewer.core.resources import resource_folder
    from poseviewer.nets.unpickle import sha256_of

    folder = resource_folder() / "weights"
    files = [folder / f"{name}.safetensors" for name in ("detector", "estimator")]
    return " ".join([f"version {VERSION}", *(sha256_of(file)[:8] for file in files if file.is_file())])


def _is_complete(path: Path) -> bool:
    with Project.open(path) as project:
        return str(project.setting("demo", "")) == _stamp()


def _remove_unfinished(path: Path) -> None:
    """Remove a demo that was interrupted (or is of another version); never a project of somebody's own."""
    with Project.open(path) as project:
        ours = project.setting("demo", None) is not None
    if not ours:
        raise ProjectError(f"{path} is there already and is not the demo.", file=path, remedy="Choose another folder.")
    path.unlink()


def _predict(project: Project, media: Media, media_id: int) -> Generator[JobEvent, None, None]:
    """Predict all frames, then a few again so loosely that one person comes twice."""
    from poseviewer.pipeline.loading import load_networks

    config = PipelineConfig()
    networks = load_networks(config)
    frames = range(media.info.frame_count)
    found: list[FrameResult] = []
    yield from predict(project, media, media_id, frames, config, networks, into=found)
    base = {result.frame: result for result in found}
    loose = _loose_config(media, base, config, networks, project)
    if loose is not None:
        yield from predict(project, media, media_id, DOUBLED_FRAMES, loose, networks)
        return
    # No loosened threshold doubles exactly one person with these weights: copy one, a little off.
    if any(base[frame].poses for frame in DOUBLED_FRAMES):
        boxes = {frame: _boxes(base[frame]) for frame in DOUBLED_FRAMES}
        yield from predict(project, media, media_id, DOUBLED_FRAMES, config, networks, boxes=boxes, change=_with_double)
    else:
        yield Note("Nobody was found where the doubled person should be.", "warning")


def _loose_config(
    media: Media,
    base: dict[int, FrameResult],
    config: PipelineConfig,
    networks: Networks,
    project: Project,
) -> PipelineConfig | None:
    """Return the tightest box NMS without pose NMS that doubles exactly one person in the middle frame, or None.

    Where it doubles more, boxes must be surer.
    """
    from poseviewer.pipeline.run import run

    middle = DOUBLED_FRAMES[len(DOUBLED_FRAMES) // 2]
    expected = len(base[middle].poses)
    off = msgspec.structs.replace(config.nms, enabled=False)
    for iou in LOOSER_IOU if expected else ():
        for confidence in (config.confidence, *SURER_BOXES):
            loose = msgspec.structs.replace(config, iou=iou, confidence=confidence, nms=off)
            poses = next(iter(run(media, [middle], loose, networks=networks))).poses
            if len(poses) == expected + 1 and _doubles(poses, project) == 1:
                return loose
            if len(poses) <= expected + 1:
                break
    return None


def _doubles(poses: Sequence[Pose], project: Project) -> int:
    """Return how many pairs of poses are one person."""
    sigmas = project.skeleton.sigma_array
    count = 0
    for index, pose in enumerate(poses):
        area = 0.53 * float(np.prod(np.clip(pose.box[2:] - pose.box[:2], 1, None)))
        later = [other.keypoints for other in poses[index + 1 :]]
        if later:
            count += int((oks(pose.keypoints, pose.scores > 0.05, np.stack(later), area, sigmas) > 0.5).sum())
    return count


def _boxes(result: FrameResult) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray([pose.box for pose in result.poses], dtype=np.float32).reshape(-1, 4)


def _with_double(result: FrameResult) -> FrameResult:
    """Return the result with its best person a second time: 3 % larger, a little aside, less sure."""
    if not result.poses:
        return result
    best = result.poses[0]
    centre = (best.box[:2] + best.box[2:]) / 2
    shift = 0.012 * float(best.box[3] - best.box[1])

    def moved(
        points: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (centre + 1.03 * (points - centre) + shift).astype(np.float32)

    box = moved(best.box.reshape(2, 2)).ravel()
    double = replace(best, keypoints=moved(best.keypoints), box=box, scores=best.scores * 0.9, score=best.score * 0.9)
    return replace(result, poses=(*result.poses, double))


def _correct(project: Project, media: Media, media_id: int, frame: int) -> None:
    """Correct one frame with the hand-read joints, edit by edit, as a person would."""
    pixels = media.frame(frame)
    mark, timestamp = frame_fingerprint(pixels.pixels), pixels.timestamp_s
    used: set[str] = set()
    truths: list[TruePerson] = []
    for truth in true_people(frame, project.skeleton.joints):
        person = _nearest(truth, [p for p in project.people(media_id, frame) if p.key not in used], project)
        if person is None:
            project.apply(
                edits.AddPerson(
                    media=media_id,
                    frame=frame,
                    keypoints=tuple((x, y) for x, y in truth.keypoints.tolist()),
                    visibility=tuple(truth.visibility.tolist()),
                    box=tuple(truth.box.tolist()),
                    fingerprint=mark,
                    timestamp_s=timestamp,
                )
            )
            used.add(project.last_person or "")
            truths.append(truth)
            continue
        used.add(person.key)
        truths.append(truth)
        for edit in _edits(truth, person, media_id, frame, mark, timestamp):
            project.apply(edit)
            project.break_group()
    for person in project.people(media_id, frame):
        if person.state == "predicted" and any(_within(person, truth) for truth in truths):
            project.apply(edits.DeletePerson(media=media_id, frame=frame, person=person.key, fingerprint=mark))


def _within(person: Person, truth: TruePerson) -> bool:
    """Return whether most of a person's box lies in the box of a hand-read one: no person of its own."""
    box = person.pose.box
    shared = np.clip(np.minimum(box[2:], truth.box[2:]) - np.maximum(box[:2], truth.box[:2]), 0, None).prod()
    return bool(shared > 0.6 * np.clip(box[2:] - box[:2], 1, None).prod())


def _nearest(truth: TruePerson, people: Sequence[Person], project: Project) -> Person | None:
    """Return the person whose pose is the hand-read one, if there is one."""
    if not people:
        return None
    area = 0.53 * float(np.prod(np.clip(truth.box[2:] - truth.box[:2], 1, None)))
    poses = np.stack([person.pose.keypoints for person in people])
    likeness = oks(truth.keypoints, truth.visibility > ABSENT, poses, area, project.skeleton.sigma_array)
    best = int(np.argmax(likeness))
    return people[best] if likeness[best] > 0.2 else None


def _edits(
    truth: TruePerson, person: Person, media: int, frame: int, mark: str, timestamp: float
) -> list[edits.AnyEdit]:
    """Return what turns a prediction into the hand-read pose: joints moved, visibilities set; at least one edit."""
    name = person.key
    wanted: list[edits.AnyEdit] = []
    gone: list[int] = []
    for joint, seen in enumerate(truth.visibility.tolist()):
        if seen == ABSENT:
            gone += [joint] if person.visibility[joint] else []
            continue
        x, y = truth.keypoints[joint].tolist()
        off = float(np.hypot(*(person.pose.keypoints[joint] - truth.keypoints[joint])))
        if off > OFF_PX or person.visibility[joint] != seen:
            if off <= OFF_PX:
                x, y = person.pose.keypoints[joint].tolist()
            wanted.append(
                edits.MoveJoint(
                    media=media,
                    frame=frame,
                    person=name,
                    joint=joint,
                    x=x,
                    y=y,
                    visibility=seen,
                    fingerprint=mark,
                    timestamp_s=timestamp,
                )
            )
    common = {"media": media, "frame": frame, "person": name, "fingerprint": mark, "timestamp_s": timestamp}
    if gone:
        wanted.append(edits.SetVisibility(joints=tuple(gone), visibility=ABSENT, **common))  # type: ignore[arg-type]
    return wanted or [edits.AcceptPrediction(**common)]  # type: ignore[arg-type]


def headless_demo(folder: str | Path) -> Generator[JobEvent, None, DemoFiles]:
    """Make the demo and draw what a window would show: overlays, a contact sheet, a COCO data set.

    Raises:
        KnownError: as :func:`make_demo`, and if the files cannot be written.
    """
    folder = Path(folder)
    path = yield from make_demo(folder)
    with Project.open(path) as project:
        row = project.media_list()[0]
        if row.missing:
            raise KnownError(f"The demo's clip is no longer at {row.path}.", file=row.path)
        with open_media(row.path) as media:
            media.confirm()
            yield Note("Drawing.")
            frames = range(media.info.frame_count)
            people = {frame: project.people(row.id, frame) for frame in frames}
            video = yield from overlay_video(media, people, project.skeleton, folder / "skeletons.mp4")
            pictures = _pictures(media, people, project, folder)
            sheet = yield from _sheet(media, project, row.id, folder)
        options = ExportOptions(overwrite=True)
        report = yield from export(project, folder / "coco", options)
    coco = Path(report.folder) / report.files[0]
    return DemoFiles(folder.absolute(), path.absolute(), Path(row.path), video.absolute(), pictures, sheet, coco)


def _pictures(media: Media, people: dict[int, tuple[Person, ...]], project: Project, folder: Path) -> tuple[Path, ...]:
    """Draw a few frames, and all of them on one sheet; return the sheet first."""
    place = folder / "pictures"
    place.mkdir(exist_ok=True)
    drawn = [
        (frame.index, draw_people(frame.pixels, people[frame.index], project.skeleton, boxes=True))
        for frame in media.frames(LOOK_FRAMES)
    ]
    written = [place / "skeletons.png"]
    write_picture(written[0], grid([picture for _, picture in drawn]))
    for index, picture in drawn:
        written.append(place / f"{index:06d}.png")
        write_picture(written[-1], picture)
    return tuple(path.absolute() for path in written)


def _sheet(media: Media, project: Project, media_id: int, folder: Path) -> Generator[JobEvent, None, Path]:
    """Compute one frame with evidence and draw the crops and heatmaps of its people."""
    from poseviewer.pipeline.loading import load_networks
    from poseviewer.pipeline.run import run

    frame = CORRECTED_FRAMES[1]
    config = PipelineConfig()
    networks = load_networks(config)
    result = next(iter(run(media, [frame], config, networks=networks, keep_evidence=True)))
    if not result.poses:
        yield Note("Nobody was found in the frame of the contact sheet; the corrected people's boxes are used.")
        boxes = {frame: np.stack([person.pose.box for person in project.people(media_id, frame)])}
        result = next(iter(run(media, [frame], config, networks=networks, keep_evidence=True, boxes=boxes)))
    crops = result.evidence.crops if result.evidence else ()
    path = (folder / "contact-sheet.png").absolute()
    write_picture(path, contact_sheet(crops, project.skeleton))
    return path
