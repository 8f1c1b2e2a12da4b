"""The closed loop on a real clip: predict, correct a few frames, retrain, and look at the clip's other frames.

    python tests/benchmarks/bench_retraining.py CLIP.mp4 --teacher yolov8n-pose.pt [--minutes 10] [--frames 20]
        [--other CLIP2.mp4] [--remembered DATA/coco/val.json] [--keep F] [--rate R] [--out DIR]
        [--picture docs/pictures/retrain.jpg]

The bundled weights predict the clip into a project. A pose network of its own training stands in for the person: where
it is sure, its joints replace the predicted ones in a few frames, spread evenly. `poseviewer train` then learns from
the project's corrections, and old and new weights are compared on all other frames, on another clip, and, to see what
was forgotten, on people of other pictures. What is compared with are the teacher's answers for those other frames.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch

from poseviewer.cli.progress import drive
from poseviewer.core.geometry import box_iou
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Frame
from poseviewer.jobs.confirming import confirm
from poseviewer.jobs.frames import write_picture
from poseviewer.jobs.predict import predict
from poseviewer.jobs.retrain import RetrainOutcome
from poseviewer.jobs.train import TrainOrder, outcome_lines, train_files
from poseviewer.media import Media, open_media
from poseviewer.nets.weights import load_estimator
from poseviewer.nets.yolo import load_yolo
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.loading import load_networks
from poseviewer.project import Project, edits
from poseviewer.training.comparison import compare
from poseviewer.training.datasets import read_annotations

SURE_PERSON, SURE_JOINT = 0.6, 0.5
LEAST_HEIGHT = 0.25
"""People smaller than this part of the frame's height are left alone: neither corrected nor measured."""
SIDE = 640


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A person as the teacher sees it: (17, 3) x, y, score; (4,) box xyxy; score."""

    joints: np.ndarray
    box: np.ndarray
    score: float


class Teacher:
    """A YOLO pose network that answers for whole frames."""

    def __init__(self, weights: Path) -> None:
        self._network = load_yolo(weights).network

    @torch.no_grad()
    def __call__(self, pixels: np.ndarray) -> list[Taught]:
        """The people it is sure of, without doubles, that are large enough."""
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        small = cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        answer = self._network(torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255)
        rows = (answer[0] if isinstance(answer, tuple) else answer)[0].T.numpy()
        rows = rows[rows[:, 4] >= SURE_PERSON]
        found: list[Taught] = []
        for row in rows[np.argsort(-rows[:, 4])]:
            centre, size = row[:2], row[2:4]
            box = np.concatenate([centre - size / 2, centre + size / 2]) / scale
            joints = row[5:].reshape(17, 3) * (1 / scale, 1 / scale, 1)
            if box[3] - box[1] < LEAST_HEIGHT * height:
                continue
            if all(box_iou(box, other.box)[0, 0] < 0.5 for other in found):
                found.append(Taught(joints, box, float(row[4])))
        return found


def frames_of(clip: Path) -> Iterator[Frame]:
    """All frames of a clip."""
    with open_media(clip) as media:
        drive(confirm(media))
        yield from media.frames(range(media.info.frame_count))


def write_truth(frames: dict[int, list[Taught]], clip: Path, folder: Path) -> Path:
    """The teacher's people of some frames as a COCO file with pictures."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame in frames_of(clip):
        if not frames.get(frame.index):
            continue
        name = f"{frame.index:06d}.png"
        write_picture(folder / "images" / name, frame.pixels)
        images.append({"id": frame.index + 1, "file_name": name, "media": clip.name, "frame_index": frame.index})
        for person in frames[frame.index]:
            x, y, right, bottom = person.box.tolist()
            seen = person.joints[:, 2] >= SURE_JOINT
            joints = np.column_stack([np.where(seen[:, None], person.joints[:, :2], 0), 2 * seen])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame.index + 1,
                    "category_id": 1,
                    "bbox": [x, y, right - x, bottom - y],
                    "iscrowd": 0,
                    "keypoints": joints.ravel().tolist(),
                    "num_keypoints": int(seen.sum()),
                }
            )
    category = {"id": 1, "name": "person", "keypoints": list(skeleton().joints)}
    file = folder / "truth.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return file


def make_project(clip: Path, path: Path) -> Project:
    """Predict a clip into a new project."""
    project = Project.create(path)
    with open_media(clip) as media:
        info = drive(confirm(media))
        number = project.add_media(info)
        config = PipelineConfig()
        frames = range(info.frame_count)
        drive(predict(project, media, number, frames, config, load_networks(config)), "predicting")
    return project


def correct(project: Project, clip: Media, frame: int, people: Sequence[Taught]) -> None:
    """Put the teacher's joints in the place of the predicted ones, as a hand would; add who was missed."""
    media = project.media_list()[0].id
    for person in people:
        seen = person.joints[:, 2] >= SURE_JOINT
        points = tuple((float(x), float(y)) for x, y in person.joints[:, :2])
        visibility = tuple(2 if joint else 0 for joint in seen)
        box = tuple(float(value) for value in person.box)
        there = project.people(media, frame)
        overlap = [float(box_iou(person.box, other.pose.box)[0, 0]) for other in there]
        if overlap and max(overlap) >= 0.4:
            key = there[int(np.argmax(overlap))].key
            project.apply(edits.ReplacePose(media, frame, person=key, keypoints=points, visibility=visibility, box=box))
        else:
            project.apply(edits.AddPerson(media, frame, keypoints=points, visibility=visibility, box=box))


def measure(title: str, file: Path, images: Path, before: Path, after: Path) -> None:
    """Compare two weight files on the people of an annotation file."""
    shape = skeleton()
    people = [p for p in read_annotations(file, images, shape) if p.joints[:, 2].sum() > 0]
    found = compare(people, shape, (before, load_estimator(before)), (after, load_estimator(after)))
    print(f"\n{title}: {found.people} people", flush=True)
    for name in ("ap", "ap50", "pck", "oks"):
        old, new = getattr(found.before, name), getattr(found.after, name)
        print(f"  {name:<6} {old:.3f} -> {new:.3f}", flush=True)


def save_picture(outcome: RetrainOutcome, file: Path) -> None:
    """Save what a person at the desk would see at the end; needs a display."""
    from PySide6.QtWidgets import QApplication

    from poseviewer.ui import text, theme
    from poseviewer.ui.app import destroy, prepare
    from poseviewer.ui.dialogs.retrain import RetrainDialog
    from poseviewer.ui.window import Window

    application = QApplication(["retraining"])
    prepare(application)
    text.set_language("en")
    theme.apply("dark")
    window = Window()
    window.resize(1440, 900)
    dialog = RetrainDialog(window.desk, window)
    dialog.show()
    dialog.show_outcome(msgspec.structs.replace(outcome, weights="better/estimator.safetensors"))
    application.processEvents()
    dialog.grab().save(str(file), quality=88)
    dialog.close()
    destroy(window)


def main() -> None:
    """Run the loop once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="YOLO pose weights that correct")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--frames", type=int, default=20, help="how many are corrected")
    parser.add_argument("--first-part", type=float, default=1.0, help="correct in this first part of the clip only")
    parser.add_argument("--weights", type=Path, default=Path("resources/weights/estimator.safetensors"))
    parser.add_argument("--other", type=Path, help="another clip to measure on")
    parser.add_argument("--remembered", type=Path, help="COCO file of other people, to see what was forgotten")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--keep", type=float, default=1.0)
    parser.add_argument("--picture", type=Path, help="save the dialog that shows before and after")
    parser.add_argument("--out", type=Path, help="folder to keep (default: a temporary one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.out or Path(tempfile.mkdtemp(prefix="retraining-"))
    folder.mkdir(parents=True, exist_ok=True)
    clip = Path(shutil.copy(options.clip, folder))
    teacher = Teacher(options.teacher)
    taught = {frame.index: teacher(frame.pixels) for frame in frames_of(clip)}
    usable = [number for number, people in taught.items() if people]
    usable = usable[: round(options.first_part * len(usable))]
    chosen = {usable[int(place)] for place in np.linspace(0, len(usable) - 1, options.frames).round()}
    truth = write_truth({n: p for n, p in taught.items() if n not in chosen}, clip, folder / "others")
    path = folder / "clip.poseproj"
    if not path.exists():
        with make_project(clip, path) as project, open_media(clip) as media:
            for number in sorted(chosen):
                correct(project, media, number, taught[number])
    order = TrainOrder(
        (str(path),),
        str(folder / "weights"),
        start=str(options.weights),
        minutes=options.minutes,
        hold_out=("none",),
        validate=(str(truth),),
        rate=options.rate,
        keep=options.keep,
        threads=1,
    )
    outcome = drive(train_files(order), "training")
    print("\n".join(outcome_lines(outcome)), flush=True)
    if options.picture:
        save_picture(outcome, options.picture)
    after = Path(outcome.weights)
    if options.other:
        others = {frame.index: teacher(frame.pixels) for frame in frames_of(options.other)}
        file = write_truth(others, options.other, folder / "other")
        measure(f"another clip, {options.other.name}", file, file.parent / "images", options.weights, after)
    if options.remembered:
        images = options.remembered.parent / "images"
        measure("other people, what was forgotten", options.remembered, images, options.weights, after)


if __name__ == "__main__":
    main()
