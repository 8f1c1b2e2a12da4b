"""Scoring a COCO results list against a COCO annotation file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import structs

from poseviewer.core.errors import FormatError
from poseviewer.core.geometry import keypoints_box
from poseviewer.core.joint_conversion import (
    converted,
    known_names,
    name_of_set,
    skeleton_of_count,
    skeleton_of_joints,
)
from poseviewer.core.skeleton import Skeleton
from poseviewer.evaluation.pck import PckPerson, count_pck
from poseviewer.evaluation.report import Report
from poseviewer.formats.alphapose_json import body_entries, is_bodies
from poseviewer.formats.coco_eval import AREA_RULE, coco_scores, load_coco
from poseviewer.formats.coco_model import (
    AnnotationEntry,
    Annotations,
    CategoryEntry,
    ResultEntry,
    read_annotations,
    read_companion,
    read_json,
    read_results,
)

Json = dict[str, Any]
CROWDED = {"easy": (0.0, 0.1), "medium": (0.1, 0.8), "hard": (0.8, np.inf)}
"""CrowdPose's ranges of how crowded an image is."""


def evaluate(truth: str | Path, results: str | Path) -> Report:
    """Score ``results`` against ``truth``.

    Args:
        truth: a COCO annotation file with person keypoints.
        results: a COCO results list, or an annotation file whose annotations are taken as results. Where a
            RESULTS.images.json stands beside it, ids are matched by file name. AlphaPose's forms are read too.
            Results of another joint set are scored on the joints that both have, results without joints by box.

    Raises:
        FormatError: if a file is missing or wrong, or the two do not belong together.
    """
    annotations = read_annotations(truth)
    category = annotations.category()
    if not category.keypoints:
        raise FormatError(f"{annotations.path.name} has no category with keypoints.", file=annotations.path)
    notes: list[str] = []
    entries, scored = _results(Path(results), annotations, category, notes)
    dataset = _dataset(annotations, category, scored, notes)
    dumped = _dump(entries)
    coco = load_coco(dataset)
    posed = [entry for entry in dumped if "keypoints" in entry]
    boxed = bool(dumped) and all("bbox" in entry for entry in dumped)
    kit = _skeleton(category)
    if dumped and not posed:
        return _boxes_only(dataset, coco, dumped, category, notes)
    sigmas = _sigmas(category, notes)
    pck = count_pck(*_pck_persons(dataset, dumped), len(category.keypoints), kit.torso() if kit else ())
    if kit is None or not kit.torso():
        notes.append("PCK needs shoulders and hips, which these joints do not have.")
    persons = sum(not a["iscrowd"] and a["num_keypoints"] > 0 for a in dataset["annotations"])
    if not persons:
        notes.append(f"{annotations.path.name} has nobody with labelled joints, so there is no OKS AP and no PCK.")
    return Report(
        oks=coco_scores(coco, posed, "keypoints", sigmas=sigmas, category=category.id)
        | crowd_scores(annotations, dataset, posed, sigmas, category.id),
        box=coco_scores(coco, dumped, "bbox", category=category.id) if boxed else None,
        pck=pck.overall(),
        pck_joints=dict(zip(category.keypoints, pck.by_joint(), strict=True)),
        images=len(dataset["images"]),
        persons=persons,
        pck_persons=pck.persons,
        not_found=pck.not_found,
        results=len(entries),
        notes=tuple(notes),
    )


def _boxes_only(dataset: Json, coco: Any, results: list[Json], category: CategoryEntry, notes: list[str]) -> Report:
    """Return the report of results that have boxes and no joints."""
    notes.append("The results have no keypoints, so only their boxes are scored.")
    return Report(
        oks=dict.fromkeys(coco_scores(coco, [], "keypoints", category=category.id)),
        box=coco_scores(coco, results, "bbox", category=category.id),
        pck=None,
        pck_joints=dict.fromkeys(category.keypoints),
        images=len(dataset["images"]),
        persons=sum(not a["iscrowd"] and a["num_keypoints"] > 0 for a in dataset["annotations"]),
        pck_persons=0,
        not_found=0,
        results=len(results),
        notes=tuple(notes),
    )


def crowd_scores(
    annotations: Annotations,
    dataset: Json,
    results: Sequence[Json],
    sigmas: npt.NDArray[np.float64],
    category: int,
) -> dict[str, float | None]:
    """Return AP over the images of low, middle and high crowdedness, {} where no image says how crowded it is.

    CrowdPose gives each image a ``crowdIndex`` of 0..1; up to 0.1 is easy and from 0.8 on hard.
    """
    index = {
        image.id: float(said)
        for number, image in enumerate(annotations.file.images)
        if isinstance(said := annotations.image_extras(number).get("crowdIndex"), int | float)
    }
    scores: dict[str, float | None] = {}
    for name, (low, high) in CROWDED.items() if index else ():
        chosen = {image for image, value in index.items() if low <= value < high}
        part = {**dataset, "images": [image for image in dataset["images"] if image["id"] in chosen]}
        part["annotations"] = [entry for entry in dataset["annotations"] if entry["image_id"] in chosen]
        found = [entry for entry in results if entry["image_id"] in chosen]
        scores[f"AP {name}"] = coco_scores(load_coco(part), found, "keypoints", sigmas=sigmas, category=category)["AP"]
    return scores


def _results(
    path: Path, annotations: Annotations, category: CategoryEntry, notes: list[str]
) -> tuple[list[ResultEntry], npt.NDArray[np.bool_]]:
    """Read the results, with image ids, categories and joints of the truth; and which of its joints are scored."""
    entries, names = _read(path)
    entries, scored = _in_joints_of(entries, names, category, path, notes)
    # A bare name that two folders share says nothing.
    shared = Counter(Path(image.file_name).name for image in annotations.file.images)
    by_name = {name: image.id for image in annotations.file.images if shared[name := Path(image.file_name).name] == 1}
    ids: dict[int | str, int] = {image.id: image.id for image in annotations.file.images}
    ids.update((name, number) for name, number in by_name.items())
    companion = read_companion(path)
    if companion is not None:
        matched = {image.id: by_name[name] for image in companion if (name := Path(image.file_name).name) in by_name}
        if matched:
            ids.update((wrong, right) for wrong, right in matched.items())
    length = 3 * len(category.keypoints)
    kept: list[ResultEntry] = []
    for number, entry in enumerate(entries):
        if entry.image_id not in ids:
            raise FormatError(
                f"{path.name}: entry [{number}] has the image_id {entry.image_id}, which {annotations.path.name} "
                "does not have.",
                file=path,
            )
        if entry.keypoints is not None and len(entry.keypoints) != length:
            raise FormatError(
                f"{path.name}: [{number}].keypoints has {len(entry.keypoints)} numbers, {length} are expected.",
                file=path,
            )
        if entry.category_id == category.id:
            kept.append(
                ResultEntry(ids[entry.image_id], category.id, entry.score, entry.keypoints, entry.bbox, entry.track_id)
            )
    if len(kept) < len(entries):
        notes.append(f"{len(entries) - len(kept)} results of other categories were left out.")
    return kept, scored


def _in_joints_of(
    entries: list[ResultEntry], names: Sequence[str], category: CategoryEntry, path: Path, notes: list[str]
) -> tuple[list[ResultEntry], npt.NDArray[np.bool_]]:
    """Lay the joints of results on those of the truth where they are of another set.

    Results lists name no joints; a known set of that many is taken where the truth has another number.
    """
    everything = np.ones(len(category.keypoints), dtype=bool)
    lengths = {len(entry.keypoints) // 3 for entry in entries if entry.keypoints is not None}
    if len(lengths) != 1 or (not names and lengths == {len(everything)}):
        return entries, everything
    other = skeleton_of_count(min(lengths))
    names = names or (other.joints if other is not None else ())
    target = _skeleton(category)
    known = known_names(category.keypoints, target.name if target else "")
    places = {name: place for place, name in reversed(list(enumerate(known_names(names, name_of_set(names)))))}
    order = np.array([places.get(name, -1) for name in known], dtype=np.int64)
    if not (order >= 0).any() or order.tolist() == list(range(len(names))):
        return entries, everything
    left_out = [name for name, place in zip(category.keypoints, order, strict=True) if place < 0]
    notes.append(
        f"The results of {path.name} have {len(names)} joints; {len(order) - len(left_out)} are joints of the truth"
        + (f", and {', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} not scored." if left_out else ".")
    )
    laid = [
        entry
        if entry.keypoints is None
        else structs.replace(entry, keypoints=converted(np.reshape(entry.keypoints, (-1, 3)), order).ravel().tolist())
        for entry in entries
    ]
    return laid, order >= 0


def _read(path: Path) -> tuple[list[ResultEntry], Sequence[str]]:
    """Return results and the names of their joints; () where the file names none."""
    raw = read_json(path)
    if isinstance(raw, list):
        return read_results(path), ()
    if is_bodies(raw):
        entries, kit = body_entries(raw, path)
        return entries, kit.joints
    found = read_annotations(path)
    return _as_results(found), found.category().keypoints


def _as_results(annotations: Annotations) -> list[ResultEntry]:
    return [
        ResultEntry(
            entry.image_id,
            entry.category_id,
            1.0 if entry.score is None else entry.score,
            # A box without joints is a result of the detector only.
            entry.keypoints if any((entry.keypoints or [])[2::3]) else None,
            entry.bbox,
            entry.track_id,
        )
        for entry in annotations.file.annotations
        if not entry.iscrowd
    ]


def _dataset(
    annotations: Annotations, category: CategoryEntry, scored: npt.NDArray[np.bool_], notes: list[str]
) -> Json:
    """Return what pycocotools needs, with the fields that it cannot do without filled in; unscored joints absent."""
    estimated = 0
    rows: list[Json] = []
    for number, entry in enumerate(annotations.file.annotations, start=1):
        if entry.category_id != category.id:
            continue
        box = entry.bbox or _box_of(entry)
        area = entry.area
        if area is None:
            estimated += 1
            area = AREA_RULE * box[2] * box[3]
        triples = np.reshape(entry.keypoints or [0.0] * (3 * len(category.keypoints)), (-1, 3))
        keypoints = np.where(scored[:, None], triples, 0.0).ravel().tolist()
        rows.append(
            {
                # An annotation id of 0 counts as "not matched" in pycocotools, so ids are given anew from 1.
                "id": number,
                "image_id": entry.image_id,
                "category_id": category.id,
                "bbox": list(box),
                "area": area,
                "iscrowd": int(entry.iscrowd),
                "keypoints": keypoints,
                "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
            }
        )
    if estimated:
        notes.append(f"{estimated} annotations have no area; {AREA_RULE} of the box area was taken.")
    images = [
        {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
        for image in annotations.file.images
    ]
    kinds = [{"id": category.id, "name": category.name, "keypoints": category.keypoints}]
    return {"info": {}, "images": images, "annotations": rows, "categories": kinds}


def _box_of(entry: AnnotationEntry) -> tuple[float, float, float, float]:
    points = np.asarray(entry.keypoints, dtype=np.float64).reshape(-1, 3)
    x1, y1, x2, y2 = keypoints_box(points[:, :2], points[:, 2] > 0, margin=0.0).tolist()
    return x1, y1, x2 - x1, y2 - y1


def _dump(entries: Sequence[ResultEntry]) -> list[Json]:
    """Return the results as dictionaries; ``bbox`` is in all of them or in none, as pycocotools expects."""
    boxed = all(entry.bbox is not None for entry in entries)
    dumped: list[Json] = []
    for entry in entries:
        row: Json = {"image_id": entry.image_id, "category_id": entry.category_id, "score": entry.score}
        if entry.keypoints is not None:
            row["keypoints"] = entry.keypoints
        if boxed and entry.bbox is not None:
            row["bbox"] = list(entry.bbox)
        dumped.append(row)
    return dumped


def _pck_persons(dataset: Json, results: Sequence[Json]) -> tuple[list[list[PckPerson]], list[list[PckPerson]]]:
    """Return true persons and results of each image; results best score first."""
    truth: dict[int, list[PckPerson]] = defaultdict(list)
    for row in dataset["annotations"]:
        if not row["iscrowd"] and row["num_keypoints"]:
            truth[row["image_id"]].append(_pck_person(row, labelled_by_visibility=True))
    found: dict[int, list[PckPerson]] = defaultdict(list)
    for row in sorted(results, key=lambda row: -row["score"]):
        if "keypoints" in row:
            found[row["image_id"]].append(_pck_person(row, labelled_by_visibility=False))
    ids = [image["id"] for image in dataset["images"]]
    return [truth[number] for number in ids], [found[number] for number in ids]


def _pck_person(row: Json, *, labelled_by_visibility: bool) -> PckPerson:
    points = np.asarray(row["keypoints"], dtype=np.float64).reshape(-1, 3)
    labelled = points[:, 2] > 0 if labelled_by_visibility else np.ones(len(points), dtype=bool)
    if "bbox" in row:
        x, y, width, height = row["bbox"]
        box = np.array([x, y, x + width, y + height], dtype=np.float64)
    else:
        box = np.asarray(keypoints_box(points[:, :2], labelled, margin=0.0), dtype=np.float64)
    return PckPerson(points[:, :2], labelled, box)


def _skeleton(category: CategoryEntry) -> Skeleton | None:
    """Return the skeleton with the joints of ``category``, or None."""
    return skeleton_of_joints(category.keypoints)


def _sigmas(category: CategoryEntry, notes: list[str]) -> npt.NDArray[np.float64]:
    kit = _skeleton(category)
    if kit is not None:
        return kit.sigma_array
    joints = len(category.keypoints)
    notes.append(f"No OKS sigmas are known for these {joints} joints; 1/{joints} was taken for each.")
    return np.full(joints, 1 / joints)
