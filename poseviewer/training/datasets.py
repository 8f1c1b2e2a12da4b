"""People with known joints, read from COCO keypoint files and mapped to one target skeleton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import FormatError
from poseviewer.core.files import inside
from poseviewer.core.geometry import box_iou
from poseviewer.core.joint_conversion import conversion, conversion_of_names, converted
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.formats.whole_body import SEEN_FROM, UNNAMED_SETS, WHOLE_BODY, is_parted, whole_body

Float = npt.NDArray[np.float32]
# A teacher's joint counts from this score on; below it the teacher itself is not sure.
TEACHER_SCORE = 0.5
SAME_PERSON_IOU = 0.5
# People with fewer labelled joints are mostly cut-off arms and legs.
MIN_JOINTS = 5
# A box that comes this close to the picture's edge, in pixels, is cut off by it.
EDGE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class PersonSet:
    """N people of one data set.

    Attributes:
        name: for messages and metrics.
        images: the pictures, each once.
        image_index: (N,) int, which picture each person is in.
        boxes: (N, 4) float32 xyxy pixels.
        joints: (N, K, 2) float32 pixels.
        weights: (N, K) float32, 0 where a joint is not labelled.
        absent: (N, K) bool, joints beyond the picture's edge (`beyond_the_edge`); they are not labelled either.
    """

    name: str
    images: tuple[Path, ...]
    image_index: npt.NDArray[np.int64]
    boxes: Float
    joints: Float
    weights: Float
    absent: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One person of a file.

    Attributes:
        image: its picture.
        image_id, annotation_id: of the file.
        box: ``(4,)`` xyxy pixels.
        joints: ``(K, 3)`` x, y, visibility.
        extra: the file's other fields.
        media, frame: which frame of which media the picture is, where the file says so ("" and None elsewhere).
        mark: content fingerprint of that media, likewise.
        size_wh: of the picture, where the file says so.
    """

    image: Path
    image_id: int
    annotation_id: int
    box: Float
    joints: Float
    extra: dict[str, Any]
    media: str = ""
    frame: int | None = None
    size_wh: tuple[int, int] | None = None
    mark: str = ""


def read_annotations(file: Path, images: Path, target: Skeleton) -> list[Annotation]:
    """Read the persons of a COCO keypoint file, joints mapped to `target` by name and by known other names.

    COCO-WholeBody's lists for feet, face and hands are read too, and Halpe's files, which name no joints. Crowd regions
    are left out. Joints that the file does not know have v 0.

    Raises:
        FormatError: not JSON, a field is missing or malformed, or a picture's name leaves `images`.
    """
    try:
        data = msgspec.json.decode(file.read_bytes())
        layout = _layout(data, target)
        marks = _media_marks(data)
        pictures = {i["id"]: (inside(images, i["file_name"], file=file), {**marks(i), **i}) for i in data["images"]}
        people = [a for a in data["annotations"] if not a.get("iscrowd", 0)]
        found = [_annotation(a, *pictures[a["image_id"]], layout) for a in people]
    except OSError as error:
        raise FormatError(f"{file} cannot be read: {error.strerror}.", file=file) from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.name} is not a COCO keypoint file: {error!r}.", file=file) from error
    return found


def human_people(name: str, file: Path, images: Path, target: Skeleton, *, min_joints: int = MIN_JOINTS) -> PersonSet:
    """People with at least `min_joints` joints labelled by hand. Raises FormatError."""
    chosen = [a for a in read_annotations(file, images, target) if labelled_joints(a) >= min_joints]
    return gather(name, chosen, [beyond_the_edge(person, target) for person in chosen])


def teacher_people(name: str, file: Path, images: Path, target: Skeleton, *, without_human: bool = True) -> PersonSet:
    """People of a teacher file that the teacher is sure of; `without_human` leaves out those with a human label.

    Raises FormatError.
    """
    chosen = [
        confident_joints(a, target)
        for a in read_annotations(file, images, target)
        if a.extra.get("confident") and not (without_human and a.extra.get("human_id"))
    ]
    return gather(name, chosen)


def with_teacher_joints(
    people: Sequence[Annotation], teacher: Sequence[Annotation], joints: Sequence[int], target: Skeleton
) -> list[Annotation]:
    """Give people the teacher's `joints` where a human labelled none of them and the teacher is confident.

    Serves sets that label the body only: the face joints of the best overlapping teacher person are added.
    """
    by_image: dict[int, list[Annotation]] = {}
    for other in teacher:
        if other.extra.get("confident"):
            by_image.setdefault(other.image_id, []).append(confident_joints(other, target))
    result = []
    for person in people:
        others = by_image.get(person.image_id, [])
        overlap = box_iou(person.box[None], np.array([o.box for o in others]).reshape(-1, 4))[0]
        if len(others) and overlap.max() >= SAME_PERSON_IOU:
            merged = person.joints.copy()
            for joint in joints:
                if merged[joint, 2] == 0:
                    merged[joint] = others[int(overlap.argmax())].joints[joint]
            person = replace(person, joints=merged)
        result.append(person)
    return result


def gather(name: str, people: Sequence[Annotation], absent: Sequence[npt.NDArray[np.bool_]] | None = None) -> PersonSet:
    """Pack annotations into arrays; each picture is listed once. `absent` holds (K,) for everybody."""
    order: dict[Path, int] = {}
    index = np.array([order.setdefault(p.image, len(order)) for p in people], dtype=np.int64)
    # The -1 of an empty set would be anything.
    count = people[0].joints.shape[0] if people else 0
    joints = np.array([p.joints for p in people], dtype=np.float32).reshape(len(people), count, 3)
    boxes = np.array([p.box for p in people], dtype=np.float32).reshape(-1, 4)
    weights = (joints[..., 2] > 0).astype(np.float32)
    gone = np.zeros(weights.shape, dtype=np.bool_) if absent is None else np.array(absent).reshape(weights.shape)
    return PersonSet(name, tuple(order), index, boxes, joints[..., :2].copy(), weights, gone)


def beyond_the_edge(person: Annotation, target: Skeleton) -> npt.NDArray[np.bool_]:
    """Which joints (K,) are not in the picture, because its edge cuts the person off.

    Nobody labels them, but a network that is never told so invents them. At the lower edge these are the hips, knees
    and ankles of which neither side is labelled, given a labelled shoulder; at the upper edge the face, given a
    labelled hip. Only for files that label every joint they can.
    """
    gone = np.zeros(target.count, dtype=np.bool_)
    if person.size_wh is None:
        return gone
    labelled = person.joints[:, 2] > 0
    seen = labelled | labelled[np.array(target.flip)]
    named = {part: [part in name.split() for name in target.joints] for part in ("shoulder", "hip", "knee", "ankle")}
    if person.box[3] >= person.size_wh[1] - EDGE and labelled[named["shoulder"]].any():
        for part in ("hip", "knee", "ankle"):
            gone |= np.array(named[part]) & ~seen
    face = np.isin(np.arange(target.count), target.face)
    if person.box[1] <= EDGE and labelled[named["hip"]].any() and not labelled[face].any():
        gone |= face
    return gone


class Source(msgspec.Struct, frozen=True):
    """One COCO keypoint file to train on.

    Attributes:
        name: for messages and metrics.
        file: annotations; images: folder of its pictures.
        share: of the crops, relative to the other sources.
        kind: "human" labels, "teacher" (everybody the teacher is sure of) or "teacher-unlabelled" (only those
            without a human label).
        teacher: a teacher file that adds face joints to people whose body alone is labelled.
    """

    name: str
    file: Path
    images: Path
    share: float = 1.0
    kind: Literal["human", "teacher", "teacher-unlabelled"] = "human"
    teacher: Path | None = None


def load_source(source: Source, target: Skeleton) -> PersonSet:
    """Read the people of a source; raises FormatError."""
    if source.kind != "human":
        unlabelled = source.kind == "teacher-unlabelled"
        return teacher_people(source.name, source.file, source.images, target, without_human=unlabelled)
    if source.teacher is None:
        return human_people(source.name, source.file, source.images, target)
    people = [p for p in read_annotations(source.file, source.images, target) if labelled_joints(p) >= MIN_JOINTS]
    teacher = read_annotations(source.teacher, source.images, target)
    return gather(source.name, with_teacher_joints(people, teacher, target.face, target))


def standard_sources(data: Path) -> list[Source]:
    """The sources of a data folder that holds any of lspet, coco, coco2, photos and voc.

    Human labels get most of the crops: sports persons, COCO, more COCO. Teacher persons fill in where nobody
    labelled joints; the human labels of photos and voc are boxes only.
    """
    known = (
        ("lspet", "train.json", 0.45, "human", "teacher_train.json"),
        ("coco", "train.json", 0.20, "human", None),
        ("coco2", "train.json", 0.22, "human", None),
        ("photos", "teacher_train.json", 0.07, "teacher", None),
        ("lspet", "teacher_train.json", 0.04, "teacher-unlabelled", None),
        ("voc", "teacher_train.json", 0.01, "teacher", None),
    )
    return [
        Source(
            folder if kind == "human" else f"{folder} teacher",
            data / folder / file,
            data / folder / "images",
            share,
            kind,  # type: ignore[arg-type]
            data / folder / teacher if teacher else None,
        )
        for folder, file, share, kind, teacher in known
        if (data / folder / file).exists()
    ]


def load_sources(sources: Sequence[Source], target: Skeleton) -> list[tuple[float, PersonSet]]:
    """(share, people) of every source; raises FormatError."""
    return [(source.share, load_source(source, target)) for source in sources]


def labelled_joints(person: Annotation) -> int:
    """How many joints of a person are labelled."""
    return int((person.joints[:, 2] > 0).sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where a file keeps its joints: source place of each target joint, the parts, and from which v a joint counts."""

    order: npt.NDArray[np.int64]
    parted: bool = False
    seen_from: float = 0.0


def _layout(data: dict[str, Any], target: Skeleton) -> _Layout:
    names = next((c["keypoints"] for c in data["categories"] if c.get("keypoints")), None)
    if is_parted(data["annotations"], names):
        return _Layout(conversion(skeleton(WHOLE_BODY), target), parted=True, seen_from=SEEN_FROM)
    if names is not None:
        return _Layout(conversion_of_names([str(name) for name in names], target))
    lengths = {len(a["keypoints"]) // 3 for a in data["annotations"] if a.get("keypoints")}
    if len(lengths) != 1 or not lengths <= UNNAMED_SETS.keys():
        raise ValueError("no category names its joints")
    return _Layout(conversion(skeleton(UNNAMED_SETS[lengths.pop()]), target), seen_from=SEEN_FROM)


def _annotation(raw: dict[str, Any], image: Path, about: dict[str, Any], layout: _Layout) -> Annotation:
    order = layout.order
    listed = whole_body(raw) if layout.parted else np.asarray(raw.get("keypoints") or [], np.float64).reshape(-1, 3)
    listed = np.where(listed[:, 2:] >= layout.seen_from, listed, listed * [1, 1, 0])
    joints = converted(listed, np.where(order < len(listed), order, -1)).astype(np.float32)
    x, y, width, height = (float(value) for value in raw["bbox"])
    box = np.array([x, y, x + width, y + height], dtype=np.float32)
    extra = {key: value for key, value in raw.items() if key not in ("keypoints", "bbox")}
    frame = about.get("frame_index")
    size = (int(about["width"]), int(about["height"])) if about.get("width") and about.get("height") else None
    return Annotation(
        image,
        int(raw["image_id"]),
        int(raw["id"]),
        box,
        joints,
        extra,
        str(about.get("media", "")),
        None if frame is None else int(frame),
        size,
        str(about.get("media_fingerprint", "")),
    )


def _media_marks(data: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Says of an image the fingerprint of its media; an export lists these once, by name."""
    about = data.get("info")
    listed = about.get("media") if isinstance(about, dict) else None
    media = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    names = [str(one.get("name", "")) for one in media]
    # Of two media of one name nobody knows which is meant.
    known = {
        name: str(one.get("fingerprint", "")) for name, one in zip(names, media, strict=True) if names.count(name) == 1
    }
    return lambda image: {"media_fingerprint": known.get(str(image.get("media", "")), "")}


def confident_joints(person: Annotation, target: Skeleton) -> Annotation:
    """The same person with only those joints that the teacher scored high."""
    joints = person.joints.copy()
    scores = person.extra.get("keypoint_scores")
    if scores is not None and len(scores) == target.count:
        joints[np.asarray(scores, dtype=np.float32) < TEACHER_SCORE, 2] = 0
    return replace(person, joints=joints)
