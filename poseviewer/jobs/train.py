"""Training as a job: data sets and projects in, better weights and the table of what they gained out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.progress import JobEvent, Note
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import Skeleton
from poseviewer.jobs.retrain import (
    BUNDLED,
    HELD,
    REMEMBER,
    TRAIN,
    RetrainOutcome,
    leaving_nothing,
    snapshot_folder,
    snapshot_for,
)
from poseviewer.project import Project
from poseviewer.training.holdout import check_named, parse_hold_out, split_people
from poseviewer.training.learnt import already_learnt, learnt_by

if TYPE_CHECKING:
    from poseviewer.training.datasets import Annotation
    from poseviewer.training.retraining import RetrainConfig, RetrainData

PROJECT_SUFFIX = ".poseproj"


class TrainOrder(msgspec.Struct, frozen=True):
    """What ``poseviewer train`` was asked to do; see its help.

    Attributes:
        data: projects, COCO keypoint files, or folders that an export or a snapshot made.
        out: folder for the new weights.
        start: weights to begin with; "" is the bundled ones.
        minutes, steps: budget; 0 is none.
        hold_out: words as :func:`poseviewer.training.holdout.parse_hold_out` takes them.
        validate: COCO keypoint files that are only measured.
        device, precision, batch, rate, objective, schedule, seed, readers: of the training.
        shares: DATA=SHARE words as :func:`shares_of` takes them.
        proposals: which boxes crops are cut by, as :class:`poseviewer.training.retraining.RetrainConfig` has them.
        keep: weight of what is remembered.
        keep_best: the best moment by held-out OKS AP instead of the last.
        tensorboard: write TensorBoard's files too.
        threads: of the processor; 0 leaves torch's own choice.
    """

    data: tuple[str, ...]
    out: str
    start: str = ""
    minutes: float = 0.0
    steps: int = 0
    hold_out: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    device: str = "auto"
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    batch: int = 16
    rate: float = 5e-4
    objective: str = ""
    schedule: Literal["cosine", "step"] = "cosine"
    shares: tuple[str, ...] = ()
    proposals: Literal["noise", "pgpg", "fixed"] = "noise"
    keep: float = 1.0
    keep_best: bool = False
    readers: int = 0
    tensorboard: bool = False
    threads: int = 0
    seed: int = 0


def train_files(order: TrainOrder) -> Generator[JobEvent, None, RetrainOutcome]:
    """Train as ordered; under torchrun together with the other processes.

    Raises:
        CallError: the order makes no sense.
        FormatError, MediaError, WeightsError, ProjectError, DeviceError: in one sentence what cannot be used.
    """
    _check(order)
    from poseviewer.training import ranks

    if order.threads:
        import torch

        torch.set_num_threads(order.threads)
    device = ranks.join(order.device)
    if order.batch < ranks.world():
        raise CallError(f"A batch of {order.batch} cannot be divided among {ranks.world()} processes.")
    try:
        job = _train(order, device)
        if ranks.rank():
            # Of several processes only the first speaks and writes.
            return _in_silence(job)
        with leaving_nothing(Path(order.out)):
            return (yield from job)
    finally:
        ranks.leave()


def _in_silence(job: Generator[JobEvent, None, RetrainOutcome]) -> RetrainOutcome:
    while True:
        try:
            next(job)
        except StopIteration as end:
            outcome: RetrainOutcome = end.value
            return outcome


def _check(order: TrainOrder) -> None:
    if not order.data:
        raise CallError("Name at least one project or COCO file to learn from.")
    if order.minutes < 0 or order.steps < 0 or not (order.minutes or order.steps):
        raise CallError("A training needs a budget.", remedy="Give --minutes or --steps.")
    if order.batch < 1:
        raise CallError(f"A batch has at least one crop, not {order.batch}.")
    for name in (*order.data, *order.validate):
        if not Path(name).exists():
            raise FormatError(f"{name} is not there.", file=name)
    out = Path(order.out)
    if out.exists() and not out.is_dir():
        raise CallError(f"{out} is a file, a folder is expected.", file=out)
    if (out / "estimator.safetensors").exists():
        raise CallError(f"{out} holds a finished training.", file=out, remedy="Choose another folder.")


def _train(order: TrainOrder, device: str) -> Generator[JobEvent, None, RetrainOutcome]:
    from poseviewer.nets.weights import load_estimator
    from poseviewer.training import ranks
    from poseviewer.training.retraining import retrain, skeleton_of_weights

    config = _config(order, device)
    shape = skeleton_of_weights(load_estimator(config.weights), config.weights)
    if ranks.rank() == 0:
        config.out.mkdir(parents=True, exist_ok=True)
        yield from _snapshots(order)
    ranks.wait_for_all()
    data = read_data(order, shape)
    people = f"{len(data.corrected)} corrected people to learn from, {len(data.held)} held out"
    yield Note(f"{people}, {len(data.remembered)} to remember by.")
    done = yield from retrain(config, data)
    return RetrainOutcome(str(done.weights), done.comparison)


def _config(order: TrainOrder, device: str) -> RetrainConfig:
    from poseviewer.training.loop import LoopConfig
    from poseviewer.training.retraining import RetrainConfig

    loop = LoopConfig(
        seconds=60 * order.minutes,
        steps=order.steps,
        rate=order.rate,
        warm_up=50,
        schedule=order.schedule,
        average=0.995,
        precision=order.precision,
        device=device,
        seed=order.seed,
    )
    return RetrainConfig(
        weights=start_of(order),
        out=Path(order.out),
        loop=loop,
        batch=order.batch,
        keep=order.keep,
        objective=order.objective,
        keep_best=order.keep_best,
        proposals=order.proposals,
        readers=order.readers,
        tensorboard=order.tensorboard,
    )


def start_of(order: TrainOrder) -> Path:
    """The weights to begin with."""
    return Path(order.start) if order.start else resource(BUNDLED)


def _snapshots(order: TrainOrder) -> Generator[JobEvent, None, None]:
    """Read the projects' corrections, each into a folder of its own."""
    hold_out, learnt = parse_hold_out(order.hold_out), learnt_by(start_of(order))
    for number, name in enumerate(order.data, start=1):
        if Path(name).suffix == PROJECT_SUFFIX:
            with Project.open(name) as project:
                yield from snapshot_for(project, Path(order.out), number, hold_out, learnt)


def read_data(order: TrainOrder, shape: Skeleton) -> RetrainData:
    """Who is learnt from, remembered and measured.

    Raises:
        FormatError: a file is no COCO keypoint file, or a folder holds none.
        CallError: a media to hold out is not there, or the shares make no sense.
    """
    from poseviewer.training.retraining import RetrainData, SharedSet

    corrected: list[list[Annotation]] = []
    remembered: list[Annotation] = []
    held: list[Annotation] = []
    loose: list[list[Annotation]] = []
    for number, name in enumerate(order.data, start=1):
        corrected.append([])
        loose.append([])
        folder = snapshot_folder(Path(order.out), number) if Path(name).suffix == PROJECT_SUFFIX else Path(name)
        if (folder / "images").is_dir() and any((folder / part).exists() for part in (TRAIN, HELD)):
            for part, people in ((TRAIN, corrected[-1]), (REMEMBER, remembered), (HELD, held)):
                people += _people(folder / part, shape) if (folder / part).exists() else []
        else:
            for file in coco_files(Path(name)):
                loose[-1] += _people(file, shape)
    hold_out = parse_hold_out(order.hold_out)
    check_named(hold_out, {person.media for person in (*chain(*corrected), *held, *chain(*loose))})
    everybody = list(chain(*loose))
    kept, away = split_people(everybody, hold_out, already_learnt(learnt_by(start_of(order)), everybody))
    learnt = {id(person) for person in kept}
    people_of = [[*own, *(p for p in more if id(p) in learnt)] for own, more in zip(corrected, loose, strict=True)]
    shares = shares_of(order, [len(people) for people in people_of])
    for name in order.validate:
        for file in coco_files(Path(name)):
            away += _people(file, shape)
    labelled = [person for person in (*held, *away) if person.joints[:, 2].any()]
    sets = [SharedSet(*own) for own in zip(order.data, shares, people_of, strict=True)]
    return RetrainData(sets, remembered, labelled)


def shares_of(order: TrainOrder, people: Sequence[int]) -> list[float]:
    """Share of the crops of every DATA; nobody is drawn more often than others where no shares are given.

    Args:
        order: its `shares` are words such as halpe.json=1/3; the DATA that are not named share the rest equally, and
            where all are named only the ratios count.
        people: how many there are in every DATA.

    Raises:
        CallError: a word is not such, or nothing is left for the others.
    """
    given = dict(_share(word, order.data) for word in order.shares)
    if not given:
        return [float(count) for count in people]
    others = [name for name in order.data if name not in given]
    left = 1 - sum(given.values())
    if others and left <= 0:
        raise CallError(f"The shares add up to {float(1 - left):g}; nothing is left for {', '.join(others)}.")
    return [float(given[name] if name in given else left / len(others)) for name in order.data]


def _share(word: str, data: Sequence[str]) -> tuple[str, Fraction]:
    name, _, text = word.rpartition("=")
    fitting = [given for given in data if name in (given, Path(given).name)]
    if len(fitting) != 1:
        raise CallError(f"{word!r} names none of the data, or several; a share is given as DATA=SHARE.")
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise CallError(f"{text!r} is not a share, such as 0.25 or 1/3.") from error
    if share < 0:
        raise CallError(f"A share is at least 0, not {text}.")
    return fitting[0], share


def coco_files(path: Path) -> list[Path]:
    """The annotation files of an export's folder or of Leeds Sports Poses', or the file itself.

    Raises:
        FormatError: the folder holds none.
    """
    if path.is_file():
        return [path]
    found = sorted((path / "annotations").glob("*.json")) or sorted(path.glob("joints.mat"))
    if not found:
        raise FormatError(f"{path} holds no annotations/*.json.", file=path, remedy="Name a COCO file or an export.")
    return found


def _people(file: Path, shape: Skeleton) -> list[Annotation]:
    from poseviewer.training.layouts import read_layout

    beside = file.parent / "images"
    images = beside if beside.is_dir() else file.parent.parent / "images"
    return read_layout(file, images if images.is_dir() else file.parent, shape)


def outcome_lines(outcome: RetrainOutcome) -> list[str]:
    """The outcome as lines for a terminal."""
    return [*(outcome.comparison.lines() if outcome.comparison else ()), "", outcome.weights]
