"""Taking COCO files into a project: annotations as corrections, results lists as predictions of a run."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import FormatError
from poseviewer.core.files import inside
from poseviewer.core.joint_conversion import conversion, conversion_of_names, converted, skeleton_of_count
from poseviewer.core.progress import JobEvent, Note, ProgressMeter
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.formats.alphapose_json import body_entries, is_bodies
from poseviewer.formats.coco_extras import (
    Extras,
    SourceImage,
    SourcePerson,
    encode_person,
    load_extras,
    save_extras,
)
from poseviewer.formats.coco_model import (
    AnnotationEntry,
    Annotations,
    CategoryEntry,
    ImageEntry,
    ResultEntry,
    companion_path,
    images_of,
    number_in_name,
    read_annotations,
    read_companion,
    read_json,
    read_results,
)
from poseviewer.project import Project, edits

Json = dict[str, Any]
EDITS_AT_ONCE = 100
FRAMES_AT_ONCE = 32
OWN_FIELDS = ("frame_index", "timestamp", "media")
"""What PoseViewer adds to every export; it is not taken for somebody else's field."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A media that was opened for an import.

    Attributes:
        info: of the folder, picture or video.
        names: file name of each frame, () for a video.
        timestamps: seconds of each frame.
    """

    info: MediaInfo
    names: tuple[str, ...]
    timestamps: tuple[float, ...] = ()


Look = Callable[[Path], Looked]


class ImportReport(msgspec.Struct, frozen=True):
    """What an import brought.

    Attributes:
        project: path of the project file.
        kind: "corrections" or "predictions".
        images: how many images were laid on frames, those without people too.
        persons: how many people came in.
        missing: images whose picture is not there.
        skipped: people that the project had already.
    """

    project: str
    kind: str
    images: int
    persons: int
    missing: int = 0
    skipped: int = 0


@dataclass(slots=True)
class _Place:
    """One media of the import: where the file's images are in it, by image id."""

    media: int
    looked: Looked
    frames: dict[int, int] = field(default_factory=dict)


def import_coco(
    path: str | Path, images_folder: str | Path, project: Project, *, look: Look
) -> Generator[JobEvent, None, ImportReport]:
    """Take a COCO annotation file, a results list or AlphaPose's results into ``project``.

    Joints of another set come in where the sets coincide.

    Args:
        path: the file. A results list needs RESULTS.images.json beside it, or image ids that are the numbers or names
            of the pictures.
        images_folder: folder that the file names are relative to, or the video that they are frames of.
        project: gets the media, and corrections (one undo step) or a run of predictions.
        look: opens a folder, picture or video and says what it is.

    Raises:
        FormatError: naming the file and the field that is missing or wrong, or the pictures that are not there.
        MediaError: if the pictures or the video cannot be read.
    """
    path = Path(path)
    raw = read_json(path)
    if isinstance(raw, list):
        return (yield from _import_results(path, read_results(path), Path(images_folder), project, look))
    if is_bodies(raw):
        entries, kit = body_entries(raw, path)
        entries = _in_joints_of(project.skeleton, entries, kit, path)
        return (yield from _import_results(path, entries, Path(images_folder), project, look))
    return (yield from _import_annotations(read_annotations(path), Path(images_folder), project, look))


# --- annotation files ---


def _import_annotations(
    source: Annotations, folder: Path, project: Project, look: Look
) -> Generator[JobEvent, None, ImportReport]:
    category = source.category()
    order = joint_order(category, project.skeleton, source.path)
    lost = [name for place, name in enumerate(category.keypoints) if place not in order]
    if lost:
        yield Note(f"{', '.join(lost)}: no such joint in skeleton {project.skeleton.name}; left out.", "warning")
    places, missing = _find(source.file.images, source.path, folder, project, look)
    yield from _doubts(source.path, places, source.file.images, {})
    if missing:
        yield Note(f"{missing} pictures that {source.path.name} names are not in {folder}; left out.", "warning")
    people = _by_image(source, category)
    foreign = len(source.file.annotations) - sum(len(found) for found in people.values())
    if foreign:
        yield Note(f"{foreign} annotations of other categories than {category.name} were left out.", "warning")
    persons = skipped = 0
    meter = ProgressMeter(sum(len(place.frames) for place in places), "images")
    for place in places:
        _keep_image_extras(project, place, source, people)
        waiting: list[edits.AnyEdit] = []
        for image, frame in sorted(place.frames.items(), key=lambda pair: pair[1]):
            known = _known(project, place.media, frame) if people[image] else set()
            for number, entry in people[image]:
                edit = _edit(entry, source.annotation_extras(number), order, place, frame, project.skeleton)
                if _mark(edit) in known:
                    skipped += 1
                    continue
                waiting.append(edit)
                persons += 1
            if len(waiting) >= EDITS_AT_ONCE:
                project.apply_many(waiting, name=f"Import {source.path.name}", group=f"import {source.path}")
                waiting = []
            if event := meter.step():
                yield event
        if waiting:
            project.apply_many(waiting, name=f"Import {source.path.name}", group=f"import {source.path}")
    project.break_group()
    if skipped:
        yield Note(f"{skipped} people were in the project already.")
    images = sum(len(place.frames) for place in places)
    return ImportReport(str(project.path), "corrections", images, persons, missing, skipped)


def joint_order(category: CategoryEntry, kit: Skeleton, path: Path) -> dict[int, int]:
    """Return {place in the file: joint of the skeleton}, by name or known other name; files order joints as they like.

    Raises:
        FormatError: if not a single joint is known.
    """
    if not category.keypoints:
        return {}
    places = conversion_of_names(category.keypoints, kit)
    order = {int(place): joint for joint, place in enumerate(places) if place >= 0}
    if not order:
        raise FormatError(
            f"{path.name}: none of its joints ({', '.join(category.keypoints[:3])}, ...) is in skeleton {kit.name}.",
            file=path,
        )
    return order


def _by_image(source: Annotations, category: CategoryEntry) -> dict[int, list[tuple[int, AnnotationEntry]]]:
    people: dict[int, list[tuple[int, AnnotationEntry]]] = defaultdict(list)
    for number, entry in enumerate(source.file.annotations):
        if entry.category_id == category.id:
            people[entry.image_id].append((number, entry))
    return people


def _edit(
    entry: AnnotationEntry, unknown: Json, order: dict[int, int], place: _Place, frame: int, kit: Skeleton
) -> edits.AddPerson:
    """Return the edit that adds one annotation, with everything that the project has no column for as its extra."""
    triples = np.zeros((kit.count, 3))
    given = np.asarray(entry.keypoints or [], dtype=np.float64).reshape(-1, 3)
    for there, here in order.items():
        if len(given):
            triples[here] = given[there]
    points, seen = triples[:, :2], triples[:, 2].astype(int)
    box = _corners(entry.bbox)
    fields = {name: value for name, value in unknown.items() if name not in OWN_FIELDS}
    if entry.score is not None:
        fields["score"] = entry.score
    if entry.keypoint_scores is not None:
        fields["keypoint_scores"] = entry.keypoint_scores
    said = SourcePerson(
        id=entry.id,
        bbox=entry.bbox,
        area=entry.area,
        iscrowd=int(entry.iscrowd),
        keypoints=tuple(triples.ravel().tolist()) if _needs_digits(triples) else None,
        fields=fields,
    )
    return edits.AddPerson(
        media=place.media,
        frame=frame,
        timestamp_s=place.looked.timestamps[frame] if place.looked.timestamps else None,
        keypoints=tuple((x, y) for x, y in points.tolist()),
        visibility=tuple(seen.tolist()),
        box=box,
        track=entry.track_id,
        extra=encode_person(said),
    )


def _corners(bbox: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    if bbox is None:
        return None
    x, y, width, height = bbox
    return (x, y, x + width, y + height)


def _needs_digits(triples: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Return whether float32 in its shortest form would not say these numbers again."""
    points, absent = triples[:, :2], triples[:, 2] == 0
    said = np.array([[float(str(np.float32(value))) for value in point] for point in points])
    return bool((points[absent] != 0).any() or (said != points).any())


def _mark(edit: edits.AddPerson) -> tuple[Any, ...]:
    """Return what two equal people share: joints as float32, visibilities and box."""
    points = np.asarray(edit.keypoints, dtype=np.float32)
    box = np.asarray(edit.box if edit.box is not None else (), dtype=np.float32)
    return points.tobytes(), edit.visibility, box.tobytes()


def _known(project: Project, media: int, frame: int) -> set[tuple[Any, ...]]:
    return {
        (
            np.asarray(person.pose.keypoints, dtype=np.float32).tobytes(),
            tuple(int(value) for value in person.visibility),
            np.asarray(person.pose.box, dtype=np.float32).tobytes(),
        )
        for person in project.people(media, frame)
        if person.state == "corrected"
    }


def _keep_image_extras(
    project: Project, place: _Place, source: Annotations, people: dict[int, list[tuple[int, AnnotationEntry]]]
) -> None:
    extras = load_extras(project, place.media)
    images = dict(extras.images)
    for number, image in enumerate(source.file.images):
        if image.id in place.frames:
            images[str(place.frames[image.id])] = SourceImage(
                image.id,
                image.file_name,
                image.width,
                image.height,
                not people[image.id],
                place.looked.timestamps[place.frames[image.id]] if place.looked.timestamps else 0.0,
                source.image_extras(number),
            )
    raw = source.raw
    licenses = [entry for entry in raw.get("licenses") or [] if isinstance(entry, dict)]
    category: Json = next((kind for kind in raw["categories"] if kind["id"] == source.category().id), {})
    known = CategoryEntry.__struct_fields__
    info = raw.get("info")
    save_extras(
        project,
        place.media,
        Extras(
            images=images,
            licenses=extras.licenses + [entry for entry in licenses if entry not in extras.licenses],
            category={name: value for name, value in category.items() if name not in known},
            info=info if isinstance(info, dict) else {},
        ),
    )


# --- finding the pictures ---


def _find(
    images: Iterable[ImageEntry], file: Path, folder: Path, project: Project, look: Look
) -> tuple[list[_Place], int]:
    """Lay images on frames of media, adding the media to the project; return them and how many are missing."""
    listed = list(images)
    if not listed:
        raise FormatError(f"{file.name} names no images.", file=file)
    if not folder.exists():
        raise FormatError(f"There is no {folder} with the pictures of {file.name}.", file=folder)
    places = _in_folders(listed, file, folder, look) if folder.is_dir() else _in_video(listed, file, folder, look)
    found = sum(len(frames) for _, frames in places)
    if not found:
        raise FormatError(
            f"None of the {len(listed)} pictures that {file.name} names is in {folder}; "
            f"the first is {listed[0].file_name}.",
            file=file,
        )
    laid = [_Place(project.add_media(looked.info), looked, frames) for looked, frames in places if frames]
    return laid, len(listed) - found


def _in_video(images: list[ImageEntry], file: Path, video: Path, look: Look) -> list[tuple[Looked, dict[int, int]]]:
    looked = look(video)
    frames: dict[int, int] = {}
    # A results list over several clips says of each image which clip it is of.
    for image in images_of(images, video.name):
        frame = image.frame_index if image.frame_index is not None else number_in_name(image.file_name)
        if frame is not None and 0 <= frame < looked.info.frame_count:
            frames[image.id] = frame
    if len(set(frames.values())) != len(frames):
        raise FormatError(f"{file.name}: two images mean the same frame of {video.name}.", file=file)
    return [(looked, frames)]


def _in_folders(images: list[ImageEntry], file: Path, folder: Path, look: Look) -> list[tuple[Looked, dict[int, int]]]:
    by_folder: dict[Path, dict[int, str]] = defaultdict(dict)
    for image in images:
        picture = _picture(image.file_name, file, folder)
        if picture is not None:
            by_folder[picture.parent][image.id] = picture.name
    places: list[tuple[Looked, dict[int, int]]] = []
    for place, names in sorted(by_folder.items()):
        looked = look(place)
        frame_of = {name: frame for frame, name in enumerate(looked.names)}
        frames = {number: frame_of[name] for number, name in names.items() if name in frame_of}
        if len(set(frames.values())) != len(frames):
            raise FormatError(f"{file.name}: two images have the same file name.", file=file)
        places.append((looked, frames))
    return places


def _picture(name: str, file: Path, folder: Path) -> Path | None:
    """Return where a picture is: as named, in ``images/``, or by its bare name; never outside ``folder``."""
    for candidate in (name, f"images/{name}", Path(name).name):
        if not candidate or "\0" in candidate:
            continue
        picture = inside(folder, candidate, file=file)
        # Unlike Path.is_file it takes names that no file can have, such as too long ones.
        if os.path.isfile(picture):
            # Unresolved, so that a link keeps the folder that the user named.
            return folder / candidate
    return None


def _doubts(
    file: Path, places: Iterable[_Place], images: Iterable[ImageEntry], people: Mapping[int, Sequence[ResultEntry]]
) -> Generator[JobEvent, None, None]:
    """Warn where the pictures seem to be others than those that the file is about."""
    by_id = {image.id: image for image in images}
    for place in places:
        info, name = place.looked.info, Path(place.looked.info.path).name
        video = info.kind == "video"
        # The size of a folder is that of its first picture; the others may have others.
        said = [by_id[image] for image, frame in place.frames.items() if video or frame == 0]
        made_from = next((image.media for image in said if image.media and video and image.media != name), None)
        if made_from:
            yield Note(f"{file.name} was made from {made_from}, but is laid on {name}.", "warning")
        sizes = {(image.width, image.height) for image in said if image.width and image.height}
        other = sorted(size for size in sizes if size != info.size_wh)
        if other:
            yield Note(
                f"{file.name} says that its pictures are {other[0][0]} x {other[0][1]}, but {name} is "
                f"{info.size_wh[0]} x {info.size_wh[1]}: is it the right one?",
                "warning",
            )
        beyond, total = _beyond([e for image in said for e in people.get(image.id, ())], info.size_wh)
        if beyond and not other:
            yield Note(f"{beyond} of {total} people of {file.name} lie outside the pictures of {name}.", "warning")


def _beyond(entries: Sequence[ResultEntry], size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return how many people have their middle outside a picture, and how many there are."""
    beyond = 0
    for entry in entries:
        x, y = np.reshape(entry.keypoints or [0, 0, 0], (-1, 3))[:, :2].mean(axis=0)
        beyond += not (0 <= x < size_wh[0] and 0 <= y < size_wh[1])
    return beyond, len(entries)


# --- results lists ---


def _in_joints_of(target: Skeleton, entries: list[ResultEntry], kit: Skeleton, path: Path) -> list[ResultEntry]:
    """Return entries whose joints are those of ``kit`` with the joints of ``target``, scores 0 where unknown."""
    order = conversion(kit, target)
    if (order < 0).all():
        raise FormatError(f"{path.name}: none of its joints is in skeleton {target.name}.", file=path)
    return [
        msgspec.structs.replace(
            entry, keypoints=converted(np.reshape(entry.keypoints or [], (-1, 3)), order).ravel().tolist()
        )
        for entry in entries
    ]


def _import_results(
    path: Path, entries: list[ResultEntry], folder: Path, project: Project, look: Look
) -> Generator[JobEvent, None, ImportReport]:
    entries = _converted_results(entries, project.skeleton, path)
    joints = project.skeleton.count
    for number, entry in enumerate(entries):
        if entry.keypoints is None or len(entry.keypoints) != 3 * joints:
            has = "no keypoints" if entry.keypoints is None else f"{len(entry.keypoints)} numbers in keypoints"
            raise FormatError(f"{path.name}: entry [{number}] has {has}, {3 * joints} are expected.", file=path)
    images = read_companion(path)
    if images is None:
        yield Note(f"There is no {companion_path(path).name}; pictures are found by the image ids.")
        images = _images_of_ids(entries, folder, look, path)
    places, missing = _find(images, path, folder, project, look)
    if missing:
        yield Note(f"{missing} pictures that {path.name} means are not in {folder}; left out.", "warning")
    people = _results_by_image(entries, images)
    yield from _doubts(path, places, images, people)
    persons = 0
    meter = ProgressMeter(sum(len(place.frames) for place in places), "images")
    for place in places:
        frames = sorted((frame, image) for image, frame in place.frames.items())
        run = project.start_run(place.media, {"imported": path.name}, {}, [frame for frame, _ in frames])
        outcome = "cancelled"
        try:
            for start in range(0, len(frames), FRAMES_AT_ONCE):
                part = frames[start : start + FRAMES_AT_ONCE]
                results = [_result(frame, people[image], place.looked) for frame, image in part]
                project.store_results(run, results)
                persons += sum(len(result.poses) for result in results)
                if event := meter.step(len(part)):
                    yield event
            outcome = "done"
        finally:
            project.finish_run(run, "done" if outcome == "done" else "cancelled", f"Imported from {path.name}.")
    images_in = sum(len(place.frames) for place in places)
    return ImportReport(str(project.path), "predictions", images_in, persons, missing)


def _converted_results(entries: list[ResultEntry], target: Skeleton, path: Path) -> list[ResultEntry]:
    """Return results of another well-known joint set in the joints of ``target``; others as they are."""
    lengths = {len(entry.keypoints or []) // 3 for entry in entries}
    kit = skeleton_of_count(lengths.pop()) if len(lengths) == 1 else None
    if kit is None or kit.count == target.count:
        return entries
    return _in_joints_of(target, entries, kit, path)


def _images_of_ids(entries: Sequence[ResultEntry], folder: Path, look: Look, path: Path) -> list[ImageEntry]:
    """Return images for ids that are file names (AlphaPose) or the numbers in file names (COCO)."""
    names = look(folder).names if folder.is_dir() else ()
    numbers = {number_in_name(name): name for name in names}
    images: dict[int | str, ImageEntry] = {}
    for entry in entries:
        key = entry.image_id
        if key in images:
            continue
        if isinstance(key, str):
            images[key] = ImageEntry(id=-len(images) - 1, file_name=key)
        elif key in numbers or not names:
            images[key] = ImageEntry(id=key, file_name=numbers.get(key, ""), frame_index=None if names else key)
        else:
            raise FormatError(f"{path.name}: image_id {key} is the number of no picture in {folder}.", file=path)
    return list(images.values())


def _results_by_image(entries: Sequence[ResultEntry], images: Sequence[ImageEntry]) -> dict[int, list[ResultEntry]]:
    by_name = {image.file_name: image.id for image in images}
    people: dict[int, list[ResultEntry]] = defaultdict(list)
    for entry in entries:
        key = by_name.get(entry.image_id) if isinstance(entry.image_id, str) else entry.image_id
        if key is not None:
            people[key].append(entry)
    return people


def _result(frame: int, entries: Sequence[ResultEntry], looked: Looked) -> FrameResult:
    ranked = sorted(entries, key=lambda entry: -entry.score)
    timestamp = looked.timestamps[frame] if looked.timestamps else 0.0
    return FrameResult(frame, timestamp, tuple(_pose(entry) for entry in ranked))


def _pose(entry: ResultEntry) -> Pose:
    triples = np.asarray(entry.keypoints, dtype=np.float32).reshape(-1, 3)
    if entry.bbox is not None:
        box = np.asarray(_corners(entry.bbox), dtype=np.float32)
    else:
        box = np.concatenate([triples[:, :2].min(axis=0), triples[:, :2].max(axis=0)])
    return Pose(triples[:, :2].copy(), triples[:, 2].copy(), box, float(entry.score), entry.track_id)
