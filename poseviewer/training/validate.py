"""Measure an estimator with given boxes: PCK@0.2 of the torso and OKS AP.

    python -m poseviewer.training.validate --weights W.safetensors --data FOLDER [--no-flip] [--box-errors] [--stn]

FOLDER holds lspet/ and coco/ with val.json and images/, as COCO keypoint files. --box-errors moves the boxes as a
detector might have them; --stn cuts again through the file's spatial transformer.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseviewer.core.errors import CallError
from poseviewer.core.geometry import compose, invert, transform
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.evaluation.pck import PckPerson, count_pck
from poseviewer.formats.coco_eval import coco_scores, load_coco
from poseviewer.media.pictures import read_picture
from poseviewer.nets.weights import EstimatorSpec, load_estimator
from poseviewer.ops.crops import normalising_matrix, square
from poseviewer.ops.decode import merge_flip
from poseviewer.pipeline.decoding import decode
from poseviewer.training.augment import ENLARGE, PROPOSAL, box_window, cut, window_matrix
from poseviewer.training.command import run_command
from poseviewer.training.datasets import Annotation, read_annotations

Float = npt.NDArray[np.floating]
# A detector's errors in box sizes: mean and deviation of left, top, right, bottom (reference/alphapose.md section 8).
BOX_ERRORS = ((-0.0142, 0.1158), (0.0043, 0.068), (0.0154, 0.1337), (-0.0013, 0.0711))


@dataclass(frozen=True, slots=True, eq=False)
class GivenBoxes:
    """People of one validation set, cut by their annotated boxes.

    Attributes:
        people: N annotations.
        crops: (N, H, W, 3) uint8 RGB.
        matrices: (N, 2, 3) picture pixels to crop pixels.
    """

    people: Sequence[Annotation]
    crops: npt.NDArray[np.uint8]
    matrices: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pck:
    """Share of joints within 0.2 torso: over all labelled joints, and per joint name; persons with a torso."""

    mean: float
    joints: Mapping[str, float]
    persons: int


def cut_given_boxes(
    people: Sequence[Annotation], input_wh: tuple[int, int], boxes: Float | None = None, enlarge: float = ENLARGE
) -> GivenBoxes:
    """Cut every person by the annotated box, or by `boxes` (N, 4); raises MediaError for a missing picture."""
    chosen = [p.box for p in people] if boxes is None else list(boxes)
    matrices = [window_matrix(box_window(box, input_wh, enlarge), input_wh) for box in chosen]
    return cut_windows(people, matrices, input_wh)


def cut_windows(
    people: Sequence[Annotation], matrices: Sequence[npt.NDArray[np.float64]], input_wh: tuple[int, int]
) -> GivenBoxes:
    """Cut every person by a matrix (2, 3) from picture to crop pixels; raises MediaError."""
    crops: list[npt.NDArray[np.uint8]] = []
    path, picture = None, np.zeros((1, 1, 3), dtype=np.uint8)
    for person, matrix in zip(people, matrices, strict=True):
        if person.image != path:
            path, picture = person.image, read_picture(person.image)
        crops.append(cut(picture, matrix, input_wh))
    return GivenBoxes(people, np.array(crops), np.array(matrices))


def erring_box(box: Float, rng: np.random.Generator, strength: float = 1.0) -> Float:
    """A box xyxy as a detector might have it (AlphaPose's DPG constants), at least four pixels wide and high."""
    means, deviations = np.array(BOX_ERRORS).T
    size = np.tile(box[2:] - box[:2], 2)
    moved = box + rng.normal(means, deviations * strength) * size
    middle, half = (moved[:2] + moved[2:]) / 2, np.maximum((moved[2:] - moved[:2]) / 2, 2.0)
    return np.concatenate([middle - half, middle + half])


@torch.no_grad()
def through_transformer(stn: nn.Module, spec: EstimatorSpec, given: GivenBoxes, batch: int = 32) -> GivenBoxes:
    """The same people cut again by the theta that the transformer answers to their crops."""
    unit = normalising_matrix(spec.input_wh)
    matrices: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(given.crops), batch):
        theta = stn(normalise(torch.from_numpy(given.crops[start : start + batch]), spec)).double()
        inner = torch.linalg.inv(unit) @ square(theta) @ unit
        for step, matrix in zip(inner.numpy(), given.matrices[start : start + batch], strict=True):
            matrices.append(compose(invert(step[:2]), matrix))
    return cut_windows(given.people, matrices, spec.input_wh)


def normalise(crops: Tensor, spec: EstimatorSpec) -> Tensor:
    """Crops (B, H, W, 3) uint8 to the network's input (B, 3, H, W) float32, channels last in memory."""
    mean = torch.tensor(spec.mean, device=crops.device)
    std = torch.tensor(spec.std, device=crops.device)
    ready = ((crops.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    return ready.flip(1) if spec.bgr else ready


@torch.no_grad()
def predict(
    net: nn.Module,
    spec: EstimatorSpec,
    given: GivenBoxes,
    shape: Skeleton,
    *,
    flip: bool = True,
    bfloat16: bool = False,
    batch: int = 32,
) -> tuple[Float, Float]:
    """Joints (N, K, 2) in picture pixels and scores (N, K) of everybody."""
    joints, scores = [], []
    place = next((p.device for p in net.parameters()), torch.device("cpu"))
    for start in range(0, len(given.crops), batch):
        x = normalise(torch.from_numpy(given.crops[start : start + batch]).to(place), spec)
        with torch.autocast(place.type, torch.bfloat16, enabled=bfloat16):
            maps = net(x).float()
            if flip:
                maps = merge_flip(maps, net(x.flip(3)).float(), shape.flip, shift=spec.flip_shift)
        decoded = decode(spec, maps)
        stride = spec.input_wh[0] / maps.shape[3] if decoded.unit == "cells" else 1.0
        xy, score = decoded.points * stride, decoded.scores
        joints.append(xy.cpu().numpy())
        scores.append(score.cpu().numpy())
    placed = [transform(invert(m), xy) for m, xy in zip(given.matrices, np.concatenate(joints), strict=True)]
    return np.array(placed), np.concatenate(scores)


def pck(found: Float, people: Sequence[Annotation], shape: Skeleton) -> Pck:
    """PCK@0.2 of the torso of one pose a person.

    Args:
        found: (N, K, 2) pixels.
        people: N annotations; those without a torso length do not count.
        shape: names the joints.
    """
    everything = np.ones(shape.count, dtype=bool)
    truths = [[PckPerson(p.joints[:, :2].astype(float), p.joints[:, 2] > 0, p.box.astype(float))] for p in people]
    # The box is the given one on both sides, so each pose meets its own person.
    answers = [
        [PckPerson(xy.astype(float), everything, p.box.astype(float))] for xy, p in zip(found, people, strict=True)
    ]
    count = count_pck(truths, answers, shape.count, shape.torso())
    shares = zip(shape.joints, count.by_joint(), strict=True)
    return Pck(count.overall() or 0.0, {name: v for name, v in shares if v is not None}, count.persons)


def oks_ap(truth: Path, found: Float, scores: Float, people: Sequence[Annotation]) -> dict[str, float]:
    """COCO keypoint AP of one pose a person by pycocotools: AP, AP50, AP75, APm, APl, AR (0..1)."""
    results = [
        {
            "image_id": person.image_id,
            "category_id": 1,
            "keypoints": np.column_stack([xy, score]).ravel().round(3).tolist(),
            "score": float(score.mean()),
        }
        for xy, score, person in zip(found, scores, people, strict=True)
    ]
    figures = coco_scores(load_coco(msgspec.json.decode(truth.read_bytes())), results, "keypoints")
    return {key: figures[key] or 0.0 for key in ("AP", "AP50", "AP75", "APm", "APl", "AR")}


def validation_people(data: Path, name: str, shape: Skeleton) -> list[Annotation]:
    """The people of data/name/val.json that have labelled joints; raises FormatError."""
    folder = data / name
    people = read_annotations(folder / "val.json", folder / "images", shape)
    return [person for person in people if person.joints[:, 2].any()]


def report(weights: Path, data: Path, *, flip: bool, box_errors: bool = False, stn: bool = False) -> str:
    """The figures of a weight file as text; raises KnownError."""
    loaded = load_estimator(weights)
    spec, shape = loaded.spec, skeleton(loaded.spec.skeleton)
    if stn and loaded.stn is None:
        raise CallError(f"{weights.name} has no spatial transformer.", file=weights)
    lines = [f"{weights.name}: {spec.family} {spec.input_wh}, flip test {flip}, box errors {box_errors}, STN {stn}"]
    for name in ("lspet", "coco"):
        people = validation_people(data, name, shape)
        rng = np.random.default_rng(0)
        boxes = np.array([erring_box(p.box, rng) for p in people]) if box_errors else None
        given = cut_given_boxes(people, spec.input_wh, boxes, PROPOSAL if stn else ENLARGE)
        if stn and loaded.stn is not None:
            given = through_transformer(loaded.stn, spec, given)
        found, scores = predict(loaded.module, spec, given, shape, flip=flip)
        result = pck(found, people, shape)
        lines.append(f"{name}/val PCK@0.2 torso {result.mean:.3f} ({result.persons} persons)")
        lines.extend(f"  {joint:15s} {value:.3f}" for joint, value in result.joints.items())
        if name == "coco":
            figures = oks_ap(data / name / "val.json", found, scores, people)
            lines.append("coco/val OKS " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; the exit code is 1 on a known error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, required=True, help="estimator weights")
    parser.add_argument("--data", type=Path, required=True, help="folder with lspet/ and coco/")
    parser.add_argument("--no-flip", action="store_true", help="one pass instead of the flip test")
    parser.add_argument("--box-errors", action="store_true", help="boxes as a detector might have them")
    parser.add_argument("--stn", action="store_true", help="cut again through the spatial transformer")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    options = parser.parse_args(arguments)
    return run_command(
        lambda: print(
            report(
                options.weights,
                options.data,
                flip=not options.no_flip,
                box_errors=options.box_errors,
                stn=options.stn,
            )
        ),
        options.threads,
    )


if __name__ == "__main__":
    raise SystemExit(main())
