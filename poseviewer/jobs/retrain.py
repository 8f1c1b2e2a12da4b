"""From a project's corrections to a training: a snapshot of who is where, then a training in a process of its own.

The snapshot is a folder of COCO files and pictures. The project's people are only read, in one go at the beginning, so
that edits that follow do not mix in. Held-out frames go into a file of their own and never into the one that is learnt
from; which they are is noted in the project.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import CallError, FormatError, KnownError
from poseviewer.core.files import write_bytes
from poseviewer.core.geometry import keypoints_box
from poseviewer.core.progress import JobEvent, Note, Point, Progress, ProgressMeter
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, Person
from poseviewer.formats.coco_eval import AREA_RULE
from poseviewer.jobs.export import PictureReader
from poseviewer.project import ExportRow, HeldOut, MediaRow, Project, store_held_out
from poseviewer.training.holdout import HoldOut, Spans, held_spans, is_held
from poseviewer.training.learnt import Learnt, Span, learnt_by
from poseviewer.training.results import CHECKPOINT, PAUSE, STOP, Comparison

Json = dict[str, Any]
MOST_REMEMBERED = 200
"""Frames that nobody corrected, evenly over the media: enough to remember by."""
POLL_S = 0.5
TRAIN, REMEMBER, HELD = "train.json", "remember.json", "held.json"
BUNDLED = "weights/estimator.safetensors"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was taken from a project.

    Attributes:
        folder: holds train.json, remember.json and held.json (those that have people) and images/.
        frames, people: to learn from.
        held_frames, held_people: held out.
        remembered: people whom nobody corrected.
    """

    folder: Path
    frames: int
    people: int
    held_frames: int
    held_people: int
    remembered: int


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """Some people of one frame; ``part`` is the file they go to."""

    media: int
    frame: int
    people: tuple[Person, ...]
    part: str


def take_snapshot(
    project: Project, folder: Path, hold_out: HoldOut, learnt: Learnt | None = None
) -> Generator[JobEvent, None, Snapshot]:
    """Write what a training needs to know of a project; the held-out spans stay with the project, for its exports.

    Args:
        project: only its list of held-out frames changes.
        folder: where to.
        hold_out: which frames are measured instead.
        learnt: by the starting weights; other frames are held out, as long as there are any.

    Raises:
        FormatError: nobody is corrected.
        MediaError: a media cannot be read.
    """
    media = {row.id: row for row in project.media_list()}
    names = unique_names(media.values())
    marks = {number: row.info.fingerprint for number, row in media.items()}
    corrected = [row for row in project.export_rows("corrections") if row.people]
    spans = _spans(corrected, names, hold_out, {number: (learnt or {}).get(mark, ()) for number, mark in marks.items()})
    shown = list(_chosen(project, corrected, names, spans))
    if all(row.part == REMEMBER for row in shown):
        raise FormatError(
            f"{Path(project.path).name} has no corrected people.",
            file=Path(project.path),
            remedy="Correct some frames first.",
        )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    yield from _write_pictures(project, {(row.media, row.frame) for row in shown}, folder, names)
    counts: dict[str, tuple[int, int]] = {}
    for part in (TRAIN, REMEMBER, HELD):
        rows = [row for row in shown if row.part == part]
        counts[part] = (len({(row.media, row.frame) for row in rows}), sum(len(row.people) for row in rows))
        (folder / part).unlink(missing_ok=True)
        if rows:
            write_bytes(folder / part, msgspec.json.encode(_dataset(rows, names, marks, project.skeleton)))
    held = ((number, *span) for number, name in names.items() for span in spans.get(name, ()))
    store_held_out(project, HeldOut(tuple(held)))
    return Snapshot(folder, *counts[TRAIN], *counts[HELD], counts[REMEMBER][1])


class _Taken(msgspec.Struct, frozen=True):
    """What a snapshot was taken of; written last, so that one which was cut off is none."""

    project: str
    hold_out: HoldOut


def snapshot_for(
    project: Project, out: Path, number: int, hold_out: HoldOut, learnt: Learnt | None = None
) -> Generator[JobEvent, None, Path]:
    """The snapshot of a training in a folder; one that was cut off goes on with the snapshot that it began with.

    Args:
        project: as `take_snapshot` has it.
        out: folder of the training.
        number: of the project in the training.
        hold_out, learnt: as `take_snapshot` has them.

    Returns:
        the snapshot's folder.

    Raises:
        CallError: the training that was cut off is of another project, or holds out other frames.
        FormatError: nobody is corrected.
        MediaError: a media cannot be read.
    """
    folder = snapshot_folder(out, number)
    taken, file = _Taken(str(Path(project.path).resolve()), hold_out), folder / "taken.json"
    if (out / CHECKPOINT).exists() and (known := _known(file)) is not None:
        if known != taken:
            raise CallError(
                f"{out} holds a training that is not over, begun with other projects or held-out frames.",
                file=out,
                remedy="Choose another folder, or remove it.",
            )
        yield Note(f"The corrections of {Path(project.path).name} are those with which the training began.")
        return folder
    file.unlink(missing_ok=True)
    yield from take_snapshot(project, folder, hold_out, learnt)
    write_bytes(file, msgspec.json.encode(taken))
    return folder


def snapshot_folder(out: Path, number: int) -> Path:
    """Where a training keeps its snapshot of a project."""
    return out / "snapshot" / str(number)


def _known(file: Path) -> _Taken | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Taken)
    except (OSError, msgspec.MsgspecError):
        return None


def unique_names(media: Iterable[MediaRow]) -> dict[int, str]:
    """File name of every media; the id is added where two have the same."""
    names: dict[int, str] = {}
    for row in media:
        name = Path(row.path).name
        names[row.id] = f"{name} ({row.id})" if name in names.values() else name
    return names


def corrected_counts(project: Project) -> dict[str, int]:
    """How many corrected frames each media has, by name."""
    names = unique_names(project.media_list())
    return {name: count for number, name in names.items() if (count := len(project.corrected_frames(number)))}


def _spans(
    corrected: Sequence[ExportRow], names: dict[int, str], hold_out: HoldOut, learnt: Mapping[int, Sequence[Span]]
) -> Spans:
    labelled: dict[str, set[int]] = {}
    known: dict[str, set[int]] = {}
    for row in corrected:
        labelled.setdefault(names[row.media], set()).add(row.frame)
        if any(first <= row.frame <= last for first, last in learnt[row.media]):
            known.setdefault(names[row.media], set()).add(row.frame)
    return held_spans(hold_out, labelled, known)


def _chosen(
    project: Project, corrected: Sequence[ExportRow], names: dict[int, str], spans: Spans
) -> Generator[_Shown, None, None]:
    """Corrected people, held out or not, and some of those whom nobody corrected."""
    for row in corrected:
        away = is_held(spans, names[row.media], row.frame)
        yield _Shown(row.media, row.frame, row.people, HELD if away else TRAIN)
    others = [
        row
        for row in project.export_rows("predictions")
        if row.people and not is_held(spans, names[row.media], row.frame)
    ]
    step = max(len(others) / MOST_REMEMBERED, 1.0)
    for place in range(min(len(others), MOST_REMEMBERED)):
        row = others[int(place * step)]
        yield _Shown(row.media, row.frame, row.people, REMEMBER)


def _write_pictures(
    project: Project, wanted: set[tuple[int, int]], folder: Path, names: dict[int, str]
) -> Generator[JobEvent, None, None]:
    from poseviewer.jobs.frames import write_picture

    reader = PictureReader(project)
    meter = ProgressMeter(len(wanted), "pictures")
    try:
        for media in sorted({number for number, _ in wanted}):
            yield from reader.prepare(media)
        for media, frame in sorted(wanted):
            write_picture(folder / "images" / _picture(media, frame), reader.pixels(media, frame))
            if event := meter.step(text=names[media]):
                yield event
    finally:
        reader.close()


def _picture(media: int, frame: int) -> str:
    return f"{media:03d}_{frame:06d}.png"


def _dataset(rows: Sequence[_Shown], names: dict[int, str], marks: dict[int, str], kit: Skeleton) -> Json:
    places = sorted({(row.media, row.frame) for row in rows})
    ids = {place: number for number, place in enumerate(places, start=1)}
    images = [
        {
            "id": ids[media, frame],
            "file_name": _picture(media, frame),
            "media": names[media],
            "media_fingerprint": marks[media],
            "frame_index": frame,
        }
        for media, frame in places
    ]
    annotations: list[Json] = []
    for row in rows:
        for person in row.people:
            annotations.append(_entry(len(annotations) + 1, ids[row.media, row.frame], person))
    category = {"id": 1, "name": "person", "keypoints": list(kit.joints), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _entry(number: int, image: int, person: Person) -> Json:
    present = person.visibility > ABSENT
    points = np.where(present[:, None], person.pose.keypoints, 0).astype(float)
    box = np.asarray(person.pose.box, dtype=float)
    if not (np.isfinite(box).all() and (box[2:] - box[:2] >= 2).all()):
        box = np.asarray(keypoints_box(points, present), dtype=float)
    width, height = (float(side) for side in box[2:] - box[:2])
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [float(box[0]), float(box[1]), width, height],
        "area": AREA_RULE * width * height,
        "iscrowd": 0,
        "keypoints": np.column_stack([points, np.where(present, person.visibility, 0)]).ravel().tolist(),
        "num_keypoints": int(present.sum()),
    }


# --- a training in a process of its own ---


class RetrainOrder(msgspec.Struct, frozen=True):
    """What the window asks for.

    Attributes:
        out: folder for everything.
        weights: to begin with; "" is the bundled ones.
        minutes: budget.
        hold_out: which frames are measured instead.
        device: where.
        others: paths of further projects.
    """

    out: Path
    weights: str = ""
    minutes: float = 10.0
    hold_out: HoldOut = HoldOut()
    device: str = "auto"
    others: tuple[Path, ...] = ()


class RetrainOutcome(msgspec.Struct, frozen=True):
    """What came of it: the new weights, and the comparison (None where nothing was held out)."""

    weights: str
    comparison: Comparison | None


def retrain_project(project: Project | None, order: RetrainOrder) -> Generator[JobEvent, None, RetrainOutcome]:
    """Snapshot the open project and others, then train in a child process.

    Closing ends the child and removes what was begun, unless the folder was there before.

    Raises:
        KnownError: as the snapshot raises it, or with the child's own sentence.
    """
    fresh = not order.out.exists()
    try:
        with leaving_nothing(order.out):
            return (yield from _retrain_project(project, order))
    except GeneratorExit:
        if fresh:
            shutil.rmtree(order.out, ignore_errors=True)
        raise


@contextlib.contextmanager
def leaving_nothing(out: Path) -> Iterator[None]:
    """Around a training: if it fails before its first checkpoint, what it had begun in its folder goes again.

    What was there before stays; of a training that can go on nothing is removed.
    """
    before = set(out.iterdir()) if out.is_dir() else None
    try:
        yield
    except KnownError:
        if (out / CHECKPOINT).exists():
            raise
        if before is None:
            shutil.rmtree(out, ignore_errors=True)
        for path in set(out.iterdir()) - before if before is not None else ():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _retrain_project(project: Project | None, order: RetrainOrder) -> Generator[JobEvent, None, RetrainOutcome]:
    folders: list[Path] = []
    learnt = learnt_by(Path(order.weights) if order.weights else resource(BUNDLED))
    if project is not None:
        yield Note("Taking a snapshot of the corrections.")
        folders.append((yield from snapshot_for(project, order.out, 1, order.hold_out, learnt)))
    for number, path in enumerate(order.others, start=2):
        with Project.open(path) as other:
            folders.append((yield from snapshot_for(other, order.out, number, order.hold_out, learnt)))
    if not folders:
        raise CallError("Name at least one project to learn from.")
    return (yield from _child(child_command(order, folders), order))


def child_command(order: RetrainOrder, folders: Sequence[Path]) -> list[str]:
    """The command line of the training, as one could type it."""
    command = [sys.executable, "-m", "poseviewer", "train", *map(str, folders), "--out", str(order.out), "--events"]
    command += ["--minutes", f"{order.minutes:g}", "--device", order.device, "--hold-out", "none"]
    return command + (["--from", order.weights] if order.weights else [])


_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Progress, Note, Point, RetrainOutcome)}


def event_line(event: JobEvent | RetrainOutcome) -> str:
    """One event, or the outcome, as a line of JSON, for `--events`."""
    return msgspec.json.encode({"event": type(event).__name__, **msgspec.to_builtins(event)}).decode()


def read_event(line: str) -> JobEvent | RetrainOutcome | None:
    """What `event_line` wrote, or None for a line that is something else."""
    try:
        table = msgspec.json.decode(line)
        event: JobEvent | RetrainOutcome = msgspec.convert(table, _EVENTS[table.pop("event")])
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError):
        return None
    return event


def _child(command: Sequence[str], order: RetrainOrder) -> Generator[JobEvent, None, RetrainOutcome]:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    complaints = order.out / "errors.txt"
    outcome: RetrainOutcome | None = None
    with complaints.open("wb") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        try:
            last: JobEvent | None = None
            for line in _lines(child):
                event = read_event(line) if line else last
                if isinstance(event, RetrainOutcome):
                    outcome = event
                elif event is not None:
                    last = event if isinstance(event, Progress) else last
                    yield event
            child.wait()
        finally:
            _end(child)
    if child.returncode or outcome is None:
        raise KnownError(_sentence(complaints), file=order.out)
    complaints.unlink(missing_ok=True)
    return outcome


def _lines(child: subprocess.Popen[str]) -> Generator[str, None, None]:
    """What a child writes, with "" every half second that it is silent, so that one can turn away from it."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in child.stdout or ():
            waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, name="training-events", daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=POLL_S)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def ask_to_stop(out: Path) -> None:
    """Let the training in a folder end now and keep what it has learnt."""
    (out / STOP).touch()


def pause(out: Path, *, on: bool) -> None:
    """Let the training in a folder wait after its present step, or go on."""
    if on:
        (out / PAUSE).touch()
    else:
        (out / PAUSE).unlink(missing_ok=True)


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        if child.poll() is None:
            child.kill()
            child.wait()


def _sentence(complaints: Path) -> str:
    """What the child said last, without the program's name."""
    lines = [line for line in complaints.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("poseviewer: ") if lines else "The training ended without a word."
