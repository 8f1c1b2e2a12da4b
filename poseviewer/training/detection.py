"""Training the bundled person detector from scratch: ``python -m poseviewer.training.detection --help``.

The network is a YOLO of one class with random initial weights. It sees mosaics of photographs; a published detector
(the teacher) answers for the same mosaics and is imitated, human boxes correct and complete it. The teacher's weights
are read for its answers only; nothing of them enters the student.

The loop is a generator of events; closing it stops the training after the current step. Everything needed to go on is
in the checkpoint, which is replaced atomically, so a killed training continues where it last saved.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader

from poseviewer.core.files import atomic_write
from poseviewer.core.progress import JobEvent, Note, Progress
from poseviewer.core.resources import resource
from poseviewer.nets.unpickle import read_torch
from poseviewer.nets.yolo import build_yolo, load_yolo, save_yolo
from poseviewer.pipeline.detector import Detector
from poseviewer.training.command import run_command
from poseviewer.training.detection_data import Batch, CutStream, pack_pictures
from poseviewer.training.detection_objectives import Dense, Hints, detection_loss, grid, human_targets, make_targets
from poseviewer.training.ema import Average
from poseviewer.training.schedule import seconds_until
from poseviewer.training.validate_detector import BoxScores, validate_boxes

HINT_LAYERS = (4, 6, 9, 15, 18, 21)
LOG_COLUMNS = (
    "seconds", "step", "pictures", "part", "size", "rate", "score", "box", "bins", "hint", "per_second", "ap50", "ap",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the training with its own pictures.

    Attributes:
        until: part of the training at which it ends, 0..1.
        size: side of the training pictures, pixels.
        mosaic: share of mosaics.
        gentle: calmer colours and scales.
        large: single pictures enlarged further (see `CutMaker`).
    """

    until: float
    size: int
    mosaic: float
    gentle: bool = False
    large: bool = False


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How to train a detector.

    Attributes:
        data: the folder of training pictures, see :func:`~poseviewer.training.detection_data.pack_pictures`.
        folder: where the pack, checkpoints, log and weights go.
        teacher: YOLO weights whose answers are imitated.
        layout: YOLO model yaml of the student; None = the bundled detector's.
        finish: wall-clock time (seconds since 1970) at which the schedule ends, or None.
        pictures: number of pictures after which the schedule ends, or None; one of the two must be given.
        stages: in order; the last one's ``until`` is 1.
        batch: pictures a step.
        rate: AdamW's peak learning rate; falls to a hundredth as a cosine.
        warm_up: steps of linear rise.
        decay: weight decay of convolution weights.
        hint_until: part of the training after which feature hints end.
        human_from, own_from: parts from which human boxes count, and from which the student's own answers decide
            which locations they are assigned to.
        ema: decay of the averaged weights.
        save_seconds, validate_seconds: intervals.
        device: where the networks are trained, as torch names it.
        readers: processes that make pictures; 0 = the training's own.
        seed: of pictures and initial weights.
        afresh: the schedule begins anew at the checkpoint's networks, for a training that is over; human boxes and the
            student's own answers count from the start, for it has learnt to answer.
        distil: False is for comparison: human boxes alone teach, from the start, and the teacher is not asked.
    """

    data: Path
    folder: Path
    teacher: Path
    layout: Path | None = None
    finish: float | None = None
    pictures: int | None = None
    stages: tuple[Stage, ...] = (
        Stage(0.35, 256, 0.5),
        Stage(0.8, 320, 0.35),
        Stage(1.0, 384, 0.1, gentle=True),
    )
    batch: int = 16
    rate: float = 2e-3
    warm_up: int = 200
    decay: float = 0.02
    hint_until: float = 0.8
    human_from: float = 0.1
    own_from: float = 0.5
    ema: float = 0.998
    save_seconds: float = 120.0
    validate_seconds: float = 480.0
    device: str = "cpu"
    readers: int = 1
    seed: int = 1
    afresh: bool = False
    distil: bool = True


class _Training:
    """The state of one training: networks, optimiser, counters."""

    def __init__(self, config: DetectionConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        torch.manual_seed(config.seed)
        layout_file = config.layout or resource("weights/detector.yaml")
        self.layout: dict[str, Any] = yaml.safe_load(layout_file.read_text(encoding="utf-8"))
        self.student = build_yolo(self.layout).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.student, config.ema)
        taught = load_yolo(config.teacher)
        self.person = taught.person_class
        self.teacher = taught.network.to(self.device, torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._maps: dict[str, list[Tensor]] = {"student": [], "teacher": []}
        channels = [self._listen(net, name) for name, net in (("student", self.student), ("teacher", self.teacher))]
        self.hints = Hints(*channels).to(self.device)
        self.optimiser = self._optimiser()
        self.step = self.seen = 0
        self.started = time.time()
        self.spent = 0.0
        self.load()

    def _listen(self, network: nn.Module, name: str) -> list[int]:
        layers: Any = network.model
        for index in HINT_LAYERS:
            layers[index].register_forward_hook(lambda _m, _i, out: self._maps[name].append(out))
        with torch.no_grad():
            was = network.training
            network.eval()(torch.zeros(1, 3, 64, 64, device=self.device, dtype=next(network.parameters()).dtype))
            network.train(was)
        return [maps.shape[1] for maps in self._take(name)]

    def _take(self, name: str) -> list[Tensor]:
        maps, self._maps[name] = self._maps[name], []
        return maps

    def _optimiser(self) -> torch.optim.Optimizer:
        every = [*self.student.named_parameters(), *self.hints.named_parameters()]
        every = [(name, p) for name, p in every if p.requires_grad]
        return torch.optim.AdamW(
            [
                {"params": [p for _, p in every if p.ndim > 1], "weight_decay": self.config.decay},
                {"params": [p for _, p in every if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.config.rate,
            betas=(0.9, 0.99),
        )

    @property
    def part(self) -> float:
        """How much of the schedule is over, 0..1."""
        parts = [0.0]
        if self.config.finish is not None:
            parts.append((time.time() - self.started) / max(self.config.finish - self.started, 1.0))
        if self.config.pictures is not None:
            parts.append(self.seen / self.config.pictures)
        return min(max(parts), 1.0)

    def rate(self, part: float) -> float:
        """Learning rate: a linear rise, then a cosine down to a hundredth."""
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2
        return self.config.rate * cosine * min(1.0, (self.step + 1) / self.config.warm_up)

    def learn(self, batch: Batch, part: float, geometry: tuple[Tensor, Tensor]) -> dict[str, float]:
        """One step on one batch; returns the losses."""
        config = self.config
        hint_weight = max(0.0, (1 + math.cos(math.pi * min(part / config.hint_until, 1.0))) / 2) * config.distil
        images = batch.images.to(self.device).float().div_(255).contiguous(memory_format=torch.channels_last)
        taught = self._taught(images) if config.distil else None
        wanted = self._take("teacher")
        with torch.autocast(self.device.type, torch.bfloat16):
            answer = self.student(images)
            mine = self._take("student")
            hint = images.new_zeros(())
            if taught is not None and hint_weight > 0.01:
                hint = self.hints(mine, wanted, taught.logits.sigmoid())
        student = Dense.from_raw(answer)
        known = (batch.boxes.to(self.device), batch.unsure.to(self.device), batch.known.to(self.device))
        if taught is None:
            targets = human_targets(student, *known, geometry)
        else:
            own, human = float(part >= config.own_from), part >= config.human_from
            targets = make_targets(student, taught, *known, geometry, own_share=own, human=human)
        losses = detection_loss(student, targets, geometry)
        total = losses["score"] + 2.5 * losses["box"] + 0.7 * losses["bins"] + 2.0 * hint_weight * hint
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(part)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 10.0)
        self.optimiser.step()
        self.step += 1
        self.seen += len(images)
        self.average.update(self.student)
        return {name: float(value.detach()) for name, value in {**losses, "hint": hint}.items()}

    def _taught(self, images: Tensor) -> Dense:
        """The teacher's answers for the same pictures."""
        with torch.no_grad():
            raw = self.teacher(images.to(torch.bfloat16))[1]
            return Dense.from_raw(raw, self.person)

    def save(self) -> None:
        """Replace the checkpoint and the weights of the averaged network."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.module.state_dict(),
            "hints": self.hints.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "started": self.started,
        }
        with atomic_write(self.config.folder / "checkpoint.pt") as stream:
            torch.save(state, stream)
        save_yolo(
            self.config.folder / "detector.safetensors",
            self.average.module,
            self.layout,
            classes={0: "person"},
            settings={
                "input_size": self.config.stages[-1].size,
                "smooth": True,
                "trained": {"pictures": self.seen, "steps": self.step},
            },
        )

    def load(self) -> None:
        """Go on from the checkpoint, if there is one."""
        file = self.config.folder / "checkpoint.pt"
        if not file.exists():
            return
        state = read_torch(file, kind="a training checkpoint")
        self.student.load_state_dict(state["student"])
        self.average.module.load_state_dict(state["average"])
        self.average.updates = state["step"]
        self.hints.load_state_dict(state["hints"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seen = state["step"], state["seen"]
        if not self.config.afresh:
            self.started = state["started"]

    def validate(self) -> BoxScores:
        """Score the averaged network on coco/val."""
        self.save()
        detector = Detector.load(self.config.folder / "detector.safetensors", self.device)
        return validate_boxes(detector, self.config.data / "coco" / "val.json")


def train_detector(config: DetectionConfig) -> Iterator[JobEvent]:
    """Train until the schedule ends; go on from the checkpoint in ``config.folder`` if there is one.

    Yields:
        a Progress every ten seconds at most, a Note at every validation.

    Raises:
        KnownError: data, teacher or checkpoint cannot be used.
    """
    if config.finish is None and config.pictures is None:
        raise ValueError("A training needs an end: finish or pictures.")
    config.folder.mkdir(parents=True, exist_ok=True)
    yield Note("Packing the training pictures.")
    pack_pictures(config.data, config.folder)
    training = _Training(config)
    log = _Log(config.folder / "log.csv")
    yield Note(f"Training from step {training.step}, {training.seen} pictures seen.")
    for stage in config.stages:
        if training.part < stage.until:
            yield from _run_stage(training, stage, log)
    scores = training.validate()
    log.add(training, {"ap50": scores.ap50, "ap": scores.ap, "part": 1.0})
    yield Note(f"Finished after {training.seen} pictures: AP50 {scores.ap50:.3f}, AP {scores.ap:.3f} on coco/val.")


def _run_stage(training: _Training, stage: Stage, log: _Log) -> Iterator[JobEvent]:
    config = training.config
    stream = CutStream(
        config.folder,
        size=stage.size,
        batch=config.batch,
        mosaic=stage.mosaic,
        gentle=stage.gentle,
        large=stage.large,
        seed=config.seed,
        first=training.step,
    )
    loader = iter(_loader(stream, config.readers))
    centres, strides = grid(stage.size)
    geometry = (centres.to(training.device), strides.to(training.device))
    training.student.train()
    saved = validated = told = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    for batch in loader:
        part = training.part
        if part >= stage.until:
            break
        for name, value in training.learn(batch, part, geometry).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        now = time.monotonic()
        row: dict[str, float] = {}
        if now - validated >= config.validate_seconds:
            scores = training.validate()
            validated = saved = time.monotonic()
            row = {"ap50": scores.ap50, "ap": scores.ap}
            yield Note(f"{training.seen} pictures: AP50 {scores.ap50:.3f}, AP {scores.ap:.3f} on coco/val.")
        elif now - saved >= config.save_seconds:
            training.save()
            saved = now
        if now - told >= 20 or row:
            row |= {name: value / count for name, value in sums.items()}
            row |= {"part": part, "size": stage.size, "per_second": count * config.batch / (now - told)}
            log.add(training, row)
            yield _progress(training, part)
            told, sums, count = time.monotonic(), {}, 0
    del loader
    training.save()


def _loader(stream: CutStream, readers: int) -> DataLoader[Batch]:
    if not readers:
        return DataLoader(stream, batch_size=None)
    # A forked reader may hang in OpenMP's locks; a spawned one starts clean.
    return DataLoader(stream, batch_size=None, num_workers=readers, prefetch_factor=4, multiprocessing_context="spawn")


def _progress(training: _Training, part: float) -> Progress:
    seconds = time.time() - training.started
    left = seconds / part - seconds if part > 0 else None
    total = training.config.pictures or 0
    return Progress(training.seen, total, "pictures", seconds, left, f"step {training.step}")


class _Log:
    """A CSV file, one line a call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            self._write(LOG_COLUMNS)

    def add(self, training: _Training, row: dict[str, float]) -> None:
        full: dict[str, float] = {
            "seconds": round(time.time() - training.started, 1),
            "step": training.step,
            "pictures": training.seen,
            "rate": training.optimiser.param_groups[0]["lr"],
            **row,
        }
        self._write([_short(full.get(name, "")) for name in LOG_COLUMNS])

    def _write(self, cells: Sequence[object]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line.getvalue())


def _short(value: object) -> object:
    return f"{value:.5g}" if isinstance(value, float) and value < 1e4 else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m poseviewer.training.detection", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with coco, coco2, voc, photos")
    parser.add_argument("--teacher", type=Path, required=True, help="YOLO weights to imitate")
    parser.add_argument("--folder", type=Path, default=Path(".training/detector"), help="checkpoints, log, weights")
    parser.add_argument("--finish", default=None, help="wall-clock end, HH:MM")
    parser.add_argument("--pictures", type=int, default=None, help="end after so many pictures")
    parser.add_argument("--afresh", action="store_true", help="begin a new schedule at the checkpoint's networks")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument(
        "--stage",
        action="append",
        type=stage_option,
        help="UNTIL:SIZE:MOSAIC[:gentle][:large], e.g. 0.8:320:0.35:large; the last until 1",
    )
    parser.add_argument("--validate-minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority")
    options = parser.parse_args(arguments)
    if options.finish is None and options.pictures is None:
        parser.error("give --finish or --pictures")
    os.nice(options.nice)
    return run_command(lambda: _main(options))


def _main(options: argparse.Namespace) -> None:
    config = DetectionConfig(
        options.data, options.folder, options.teacher, pictures=options.pictures, device=options.device
    )
    if options.finish is not None:
        config = replace(config, finish=time.time() + seconds_until(options.finish, datetime.datetime.now()))
    config = replace(config, validate_seconds=60 * options.validate_minutes, rate=options.rate)
    if options.stage:
        config = replace(config, stages=tuple(options.stage))
    if options.afresh:
        config = replace(config, afresh=True, human_from=0.0, own_from=0.0)
    for event in train_detector(config):
        print(time.strftime("%H:%M:%S"), _words(event), flush=True)


def stage_option(text: str) -> Stage:
    """UNTIL:SIZE:MOSAIC[:gentle][:large]; argparse turns a ValueError into its own message."""
    until, size, mosaic, *words = text.split(":")
    if not {"gentle", "large"}.issuperset(words) or int(size) % 32:
        raise ValueError("sizes must be multiples of 32")
    return Stage(float(until), int(size), float(mosaic), gentle="gentle" in words, large="large" in words)


def _words(event: JobEvent) -> str:
    if isinstance(event, Note):
        return event.text
    if isinstance(event, Progress):
        left = f", {event.seconds_left / 60:.0f} min left" if event.seconds_left is not None else ""
        return f"{event.done} {event.unit}, {event.text}{left}"
    return str(event)


if __name__ == "__main__":
    sys.exit(main())
