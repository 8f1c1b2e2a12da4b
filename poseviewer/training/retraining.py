"""From corrected people to better weights: few pictures, a short budget, and nothing forgotten.

The recipe: start from the weights that were corrected, a low learning rate, batch statistics frozen, a running average
of the weights, and distillation. The old network, frozen, goes on telling what it was sure of: at joints that nobody
labelled, and on people of frames that nobody corrected.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from poseviewer.core.errors import FormatError, WeightsError
from poseviewer.core.files import atomic_write, write_bytes
from poseviewer.core.progress import JobEvent, Note, Point, Progress
from poseviewer.core.skeleton import Skeleton, skeleton, skeleton_names
from poseviewer.nets.unpickle import sha256_of
from poseviewer.nets.weights import LoadedEstimator, load_estimator, save_estimator
from poseviewer.training import ranks
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Batch, Mixture, ahead
from poseviewer.training.comparison import Held, compare
from poseviewer.training.datasets import Annotation, PersonSet, gather
from poseviewer.training.learnt import Span, already_learnt, with_learnt
from poseviewer.training.loop import Every, Hook, Learner, LoopConfig, PauseFile, Save, StopFile, run
from poseviewer.training.metrics import Metrics
from poseviewer.training.objectives import Distilled, DistilledIntegral, joint_weights, natural_objective
from poseviewer.training.pixels import check_pictures
from poseviewer.training.proposal_fit import bundled_finder, fit_generator, fit_placer, found_pairs
from poseviewer.training.proposals import (
    ProposalKind,
    Proposer,
    is_part_only,
    part_joints,
    read_proposer,
    write_proposer,
)
from poseviewer.training.results import CHECKPOINT, PAUSE, STOP, Comparison
from poseviewer.training.unfinished import MARK, digest_of, settle_mark

WEIGHTS = "estimator.safetensors"
BEST = "best.pt"
PIXELS = "pixels"
PROPOSALS = "proposals.json"
SAVE_SECONDS = 30.0
GENTLE = AugmentConfig(
    scale=0.25, rotation=30.0, box_noise=0.05, half_body=0.15, low_resolution=0.2, erase=0.2, flip=0.5
)
SIGMA_SHARE = 2.0 / 64
"""Width of the labels' Gaussians as a share of the heatmap's height: 2 cells of 64, as AlphaPose has it."""


class RetrainConfig(msgspec.Struct, frozen=True):
    """How weights are retrained.

    Attributes:
        weights: what to begin with and to remember.
        out: folder for checkpoint, decoded pictures, curves and the new weights.
        loop: budget, rates, device.
        batch: crops a step, over all processes.
        remember: share of the crops that show people whom nobody corrected.
        keep: weight of what is remembered against what is learnt.
        augment: of the crops.
        objective: "heatmap" or "sikr"; "" is what the network was made for.
        measures: how often the held-out people are measured on the way.
        keep_best: write the weights of the best of those moments by OKS AP instead of the last.
        proposals: which boxes crops are cut by: the true ones shaken at random ("noise"), or drawn as the detector errs
            with such poses ("pgpg"), or by AlphaPose's fixed draws ("fixed").
        readers: processes that make batches; 0 is a thread.
        tensorboard: write TensorBoard's files beside the tables of the curves.
    """

    weights: Path
    out: Path
    loop: LoopConfig
    batch: int = 16
    remember: float = 0.35
    keep: float = 1.0
    augment: AugmentConfig = GENTLE
    objective: str = ""
    measures: int = 8
    keep_best: bool = False
    proposals: ProposalKind = "noise"
    readers: int = 0
    tensorboard: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SharedSet:
    """People of one data set, and their share of the crops of corrected people, relative to the other sets'."""

    name: str
    share: float
    people: Sequence[Annotation]


@dataclass(frozen=True, slots=True, eq=False)
class RetrainData:
    """Who is learnt from.

    Attributes:
        sets: people with labelled joints, by data set.
        remembered: people whom nobody corrected: only their boxes count.
        held: people that are only measured; no picture of theirs is among the others.
    """

    sets: Sequence[SharedSet]
    remembered: Sequence[Annotation]
    held: Sequence[Annotation]

    @property
    def corrected(self) -> list[Annotation]:
        """The people of all sets."""
        return [person for own in self.sets for person in own.people]


@dataclass(frozen=True, slots=True, eq=False)
class Retrained:
    """The new weights, and the comparison with the old ones (None without held-out people)."""

    weights: Path
    comparison: Comparison | None


def skeleton_of_weights(weights: LoadedEstimator, path: Path) -> Skeleton:
    """The joint set of an estimator.

    Raises:
        WeightsError: nobody knows it, or the network does not answer with heatmaps of one person.
    """
    spec = weights.spec
    if spec.output != "heatmaps":
        raise WeightsError(
            f"{path.name} answers with {spec.output}; only networks that answer with heatmaps are retrained.", file=path
        )
    if weights.header is None or spec.decode in ("combined", "udp_combined"):
        raise WeightsError(
            f"{path.name} cannot be retrained: it is run by another program, or its maps are not one for each joint.",
            file=path,
        )
    if spec.skeleton not in skeleton_names():
        raise WeightsError(f"{path.name} does not say which joints its {spec.joints} outputs are.", file=path)
    return skeleton(spec.skeleton)


def retrain(config: RetrainConfig, data: RetrainData) -> Generator[JobEvent, None, Retrained]:
    """Train until the budget is used or a file called "stop" appears in the folder; go on with what was cut off.

    While a file called "pause" is there, it waits.

    Only the first of several processes tells events and writes; the others return the same path.

    Raises:
        WeightsError: the weights cannot be read or retrained.
        FormatError: nobody to train on.
        MediaError: a picture is missing.
        DeviceError: the device is not there or its memory does not suffice.
        CallError: the folder belongs to another training.
    """
    old = load_estimator(config.weights)
    shape = skeleton_of_weights(old, config.weights)
    check_data(data)
    check_folder(config, data, objective_of(config, old))
    # One that was cut off in a pause begins without it.
    (config.out / PAUSE).unlink(missing_ok=True)
    learner = make_learner(config, old, shape)
    if learner.restore(config.out / CHECKPOINT):
        yield Note(f"Going on from step {learner.step}.")
    else:
        # Of a training before this one, which was removed.
        (config.out / BEST).unlink(missing_ok=True)
    proposer = yield from settle_proposer(config, data, shape)
    mixture = make_mixture(config, data, shape, proposer)
    best = _Best(config, old, shape, data.held, learner.progress if learner.step else 0.0)
    tell = _Tell(learner)
    hooks: list[Hook[JobEvent]] = [
        PauseFile(config.out / PAUSE, config.out / STOP, tell.waiting),
        StopFile(config.out / STOP),
        tell,
        best,
        Save(SAVE_SECONDS, config.out / CHECKPOINT),
    ]
    batches = partial(_batches, mixture, config, old.spec.input_wh)
    metrics = Metrics(config.out, tensorboard=config.tensorboard and ranks.rank() == 0, after=learner.step)
    for event in run(learner, batches, hooks):
        if isinstance(event, Point):
            metrics.add(event.curve.replace(" ", "_"), learner.step, {"part": event.at, "value": event.value})
        yield event
    metrics.close()
    best.put_back(learner)
    return (yield from _finish(config, data, shape, old, learner))


def check_data(data: RetrainData) -> None:
    """Refuse an empty training set and missing pictures, before anything is written.

    Raises:
        FormatError: nobody to learn from, or a held-out picture among those to learn from.
        MediaError: a picture is missing.
    """
    if not any((person.joints[:, 2] > 0).any() for person in data.corrected):
        raise FormatError(
            "There is nobody with labelled joints to learn from.",
            remedy="Correct some frames first, or hold fewer of them out.",
        )
    shown = {person.image for person in (*data.corrected, *data.remembered)}
    if any(person.image in shown for person in data.held):
        raise FormatError("A held-out picture is among those to learn from.")
    check_pictures({*shown, *(person.image for person in data.held)})


def check_folder(config: RetrainConfig, data: RetrainData, kind: str) -> None:
    """Note what this training is, or refuse a folder that belongs to another one; raises CallError.

    Args:
        kind: objective, as `objective_of` names it.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    begun = (config.out / CHECKPOINT).exists()
    if begun or ranks.rank() == 0:
        # Every process refuses what it cannot go on with, so that none waits for those that did.
        mark = {
            "weights": sha256_of(config.weights),
            "corrected": len(data.corrected),
            "remembered": len(data.remembered),
            "people": digest_of(data.corrected, data.remembered),
            "batch": config.batch,
            "proposals": config.proposals,
            "shares": [(own.name, own.share) for own in data.sets],
            "objective": kind,
            "keep": config.keep,
            "seed": config.loop.seed,
        }
        by_people = [(own.name, float(len(own.people))) for own in data.sets]
        settle_mark(config.out / MARK, mark, {"proposals": "noise", "shares": by_people}, begun=begun)
    ranks.wait_for_all()


def objective_of(config: RetrainConfig, old: LoadedEstimator) -> str:
    """What is learnt: "heatmap" or "sikr"."""
    return config.objective or natural_objective(old.spec)


def make_learner(config: RetrainConfig, old: LoadedEstimator, shape: Skeleton) -> Learner[Batch]:
    """The network that goes on learning, with the old one as its teacher."""
    torch.manual_seed(config.loop.seed)
    loop = msgspec.structs.replace(config.loop, frozen_norms=True)
    fresh = load_estimator(config.weights).module
    learner: Learner[Batch] = Learner(fresh, _unset, loop)
    weights = joint_weights(shape).to(learner.device)
    teacher = learner.in_precision(old.module.to(learner.device))
    if objective_of(config, old) == "sikr":
        learner.objective = DistilledIntegral(old.spec, teacher, weights, config.keep)
    else:
        sigma = SIGMA_SHARE * old.spec.heatmap_wh[1]
        learner.objective = Distilled(old.spec, teacher, weights, sigma, config.keep)
    return learner


def _unset(forward: Any, batch: Batch) -> torch.Tensor:
    raise RuntimeError("the learner has no objective yet")


def settle_proposer(
    config: RetrainConfig, data: RetrainData, shape: Skeleton
) -> Generator[JobEvent, None, Proposer | None]:
    """What draws the boxes that crops are cut by, learnt from the training set and kept beside the checkpoint; None
    where the true boxes are merely shaken.

    Raises:
        FormatError: the detector's errors cannot be learnt from these people, or the file is damaged.
        MediaError: a picture is missing or damaged.
        WeightsError, MissingPartError: there is no detector.
    """
    parts = part_joints(shape)
    people = {own.name: gather(own.name, own.people) for own in data.sets}
    alone = [name for name, found in people.items() if is_part_only(found, parts)]
    if config.proposals == "noise" and not alone:
        return None
    file = config.out / PROPOSALS
    if ranks.rank() == 0 and not (file.exists() and (config.out / CHECKPOINT).exists()):
        whole = [person for own in data.sets if own.name not in alone for person in own.people]
        yield from _learn_proposer(config, whole, list(people.values()), shape, file)
    ranks.wait_for_all()
    proposer = read_proposer(file, shape)
    if alone and proposer.placer is None:
        where = "so its boxes are taken as they are" if len(alone) == 1 else "so their boxes are taken as they are"
        yield Note(f"Nobody shows where the parts in {', '.join(alone)} lie, {where}.", "warning")
    elif alone:
        yield Note(f"The parts in {', '.join(alone)} are placed as they lie in whole people.")
    return proposer


def _learn_proposer(
    config: RetrainConfig, whole: Sequence[Annotation], sets: Sequence[PersonSet], shape: Skeleton, file: Path
) -> Generator[JobEvent, None, None]:
    seed = config.loop.seed
    generator, note = None, ""
    if config.proposals == "pgpg":
        pairs = yield from found_pairs(whole, bundled_finder(config.loop.device), seed)
        generator = fit_generator(pairs, shape, seed)
        note = f"learnt from {len(pairs)} people that the bundled detector found"
    write_proposer(file, Proposer(config.proposals, generator, fit_placer(sets, shape, seed)), shape, note)


def make_mixture(config: RetrainConfig, data: RetrainData, shape: Skeleton, proposer: Proposer | None) -> Mixture:
    """Corrected and remembered people in their shares; raises MediaError for a missing picture."""
    others = gather("remembered", [_unlabelled(person) for person in data.remembered])
    rest = config.remember if len(others) else 0.0
    sets = [(own.share, gather(own.name, own.people)) for own in data.sets if own.people]
    total = sum(share for share, _ in sets) or 1.0
    shares = [((1 - rest) * share / total, known) for share, known in sets]
    pixels, seed = config.out / PIXELS, config.loop.seed
    return Mixture([*shares, (rest, others)], pixels, shape, config.augment, seed, proposer)


def _unlabelled(person: Annotation) -> Annotation:
    joints = person.joints.copy()
    joints[:, 2] = 0
    return replace(person, joints=joints)


def _batches(
    mixture: Mixture, config: RetrainConfig, input_wh: tuple[int, int], start: int
) -> Generator[Batch, None, None]:
    part = (ranks.rank(), ranks.world())
    return ahead(
        partial(mixture.batch, size=config.batch, input_wh=input_wh, strength=1.0, part=part),
        start,
        readers=config.readers,
    )


class _Tell:
    """Hook: twice a second how far it is, and the loss."""

    def __init__(self, learner: Learner[Batch]) -> None:
        self._every = Every(0.5)
        self._began, self._seen = learner.elapsed, learner.seen

    def __call__(self, learner: Learner[Batch]) -> Iterator[JobEvent]:
        if not self._every.due(learner):
            return
        loss = learner.take_loss()
        if ranks.rank():
            return
        pace = (learner.seen - self._seen) / max(learner.elapsed - self._began, 1e-9)
        yield self._progress(learner, f"{learner.seen} crops, {pace:.0f} a second")
        yield Point("loss", learner.progress, loss)

    def waiting(self, learner: Learner[Batch]) -> Iterator[JobEvent]:
        """Say how far a training is that waits."""
        yield self._progress(learner, f"{learner.seen} crops, paused")

    def _progress(self, learner: Learner[Batch], text: str) -> Progress:
        part = learner.progress
        left = learner.elapsed / part - learner.elapsed if part > 0 else None
        return Progress(round(100 * part), 100, "%", learner.elapsed, left, text)


class _Best:
    """Hook: measures the held-out people at equal parts of the training and remembers the best weights."""

    def __init__(
        self, config: RetrainConfig, old: LoadedEstimator, shape: Skeleton, held: Sequence[Annotation], begun: float
    ) -> None:
        self._config = config
        self._old = old
        self._held = Held(held, shape) if held and ranks.rank() == 0 else None
        self._next = 0.0
        if begun:
            # The old weights, and those up to here, were measured before.
            self._pass(begun)
        self._file = config.out / BEST

    def __call__(self, learner: Learner[Batch]) -> Iterator[JobEvent]:
        if learner.progress < self._next or self._config.measures < 1:
            return
        first = self._next == 0.0
        self._pass(learner.progress)
        if self._held is None:
            ranks.wait_for_all()
            return
        began = time.monotonic()
        answers = self._held.answers(self._old, None if first else learner.average.module)
        figures = self._held.figures(answers)
        at = 0.0 if first else learner.progress
        yield Point("held-out OKS AP", at, figures.ap)
        if figures.pck is not None:
            yield Point("held-out PCK", at, figures.pck)
        if self._config.keep_best and not first and figures.ap > learner.best:
            learner.best = figures.ap
            with atomic_write(self._file) as stream:
                torch.save(learner.average.module.state_dict(), stream)
        # Looking costs the budget nothing.
        learner.pause(time.monotonic() - began)
        ranks.wait_for_all()

    def _pass(self, progress: float) -> None:
        while self._config.measures > 0 and self._next <= progress:
            self._next += 1 / self._config.measures

    def put_back(self, learner: Learner[Batch]) -> None:
        """Take the best weights where they are wanted, else leave the last ones."""
        if self._config.keep_best and self._file.exists():
            learner.average.module.load_state_dict(torch.load(self._file, weights_only=True))


def _finish(
    config: RetrainConfig, data: RetrainData, shape: Skeleton, old: LoadedEstimator, learner: Learner[Batch]
) -> Generator[JobEvent, None, Retrained]:
    path = weights_path(config)
    if ranks.rank():
        ranks.wait_for_all()
        return Retrained(path, None)
    note = f"retrained from {config.weights.name} on {len(data.corrected)} corrected people, {learner.seen} crops"
    before = old.header.learnt if old.header is not None else {}
    save_like(old, learner.average.module, path, note, with_learnt(before, data.corrected))
    comparison = None
    if data.held:
        yield Note("Measuring old and new weights on the held-out people.")
        notes = []
        if config.keep_best:
            notes.append("The moment was chosen on these very people, which flatters the figures a little.")
        known = already_learnt(before, data.held)
        if count := sum(person.image in known for person in data.held):
            notes.append(
                f"The starting weights have learnt {count} of the {len(data.held)} held-out people, so the figures "
                "before are too good."
            )
        comparison = compare(data.held, shape, (config.weights, old), (path, load_estimator(path)), notes)
        write_bytes(config.out / "comparison.json", msgspec.json.format(msgspec.json.encode(comparison)))
    write_bytes(path.with_suffix(".md"), _card(config, data, learner, comparison).encode())
    for name in (BEST, CHECKPOINT, MARK):
        (config.out / name).unlink(missing_ok=True)
    shutil.rmtree(config.out / PIXELS, ignore_errors=True)
    ranks.wait_for_all()
    return Retrained(path, comparison)


def weights_path(config: RetrainConfig) -> Path:
    """Where the new weights go."""
    return config.out / WEIGHTS


def save_like(
    source: LoadedEstimator, net: nn.Module, target: Path, note: str, learnt: dict[str, tuple[Span, ...]]
) -> None:
    """Write weights with the header and the spatial transformer of those they began as, and with what they learnt."""
    header = source.header
    if header is None:
        raise ValueError("weights that cannot be described are not retrained")
    said = f"{header.note}; {note}" if header.note else note
    save_estimator(target, net.cpu(), msgspec.structs.replace(header, note=said, learnt=learnt), source.stn)


def _share_lines(data: RetrainData) -> list[str]:
    """One line of the card for every data set, where there are several."""
    sets = [own for own in data.sets if own.people]
    total = sum(own.share for own in sets) or 1.0
    lines = [f"- {own.share / total:.0%} of their crops from {own.name}, {len(own.people)} people" for own in sets]
    return lines if len(sets) > 1 else []


def _card(config: RetrainConfig, data: RetrainData, learner: Learner[Batch], comparison: Comparison | None) -> str:
    """The model card: what was trained, on whom, and what came of it."""
    loop = learner.config
    lines = [
        f"# {weights_path(config).name}",
        "",
        f"Retrained from `{config.weights.name}` (SHA-256 {sha256_of(config.weights)}).",
        "",
        f"- {len(data.corrected)} corrected people, {len(data.remembered)} of uncorrected frames to remember by",
        f"- {learner.step} steps, {learner.seen} crops, {learner.elapsed:.0f} s on {learner.device}",
        f"- AdamW {loop.rate:g}, {loop.schedule}, decay {loop.decay:g}, average {loop.average:g}, {learner.precision}",
        f"- distillation from the old weights, weight {config.keep:g}; boxes: {config.proposals}",
        *_share_lines(data),
        "- licence: that of the weights it began with; the pictures' owners may have terms of their own",
        "",
    ]
    if comparison is not None:
        lines += ["```", *comparison.lines(), "```", ""]
    return "\n".join(lines)
