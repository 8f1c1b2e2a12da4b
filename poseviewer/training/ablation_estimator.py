"""What parts of the estimator's training are worth: the runs of `training.ablation` that concern the estimator.

Every run is counted in steps, has its own generator of draws and its own validation, and answers with figures. Runs
that are compared see the same people in the same order with the same learning rates.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.core.geometry import invert, transform
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.stn import Localiser
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, load_estimator, save_estimator
from poseviewer.ops.targets import cell_error, gaussian_heatmaps
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.networks import Networks
from poseviewer.training.augment import ENLARGE, NONE, PROPOSAL, AugmentConfig, box_window, window_matrix
from poseviewer.training.batches import Mixture, ahead
from poseviewer.training.datasets import Annotation, Source, load_sources, standard_sources
from poseviewer.training.estimator import IMAGENET_MEAN, IMAGENET_STD, STRIDE
from poseviewer.training.loop import Forward, Learner, LoopConfig, run
from poseviewer.training.objectives import HeatmapObjective, SikrObjective, joint_weights
from poseviewer.training.ranks import mean_over_all
from poseviewer.training.schedule import growing
from poseviewer.training.sstn import SstnObjective, SymmetricNetwork, joints_in_proposal
from poseviewer.training.transformer import ProposalMixture, Proposals, first_stages, proposal_part
from poseviewer.training.validate import (
    GivenBoxes,
    cut_given_boxes,
    erring_box,
    normalise,
    oks_ap,
    pck,
    predict,
    through_transformer,
    validation_people,
)
from poseviewer.training.validate_pipeline import validate_pipeline

Float = npt.NDArray[np.floating]
Figures = dict[str, float]
Tell = Callable[[str], None]
Variant = Literal["untouched", "plain", "alone", "parallel"]
"""Nothing is trained; proposals are taken as they are; STN and SDTN; the parallel SPPE as well."""
BackendTried = Literal["eager", "auto", "bf16"]

SHAPE = "coco_17"
SMALL = FastPoseConfig(
    stem="strided",
    stem_width=24,
    block="basic",
    depths=(1, 1, 2, 1),
    planes=(32, 64, 128, 192),
    se_reduction=4,
    duc=(256, 128),
    laterals=True,
)
"""A FastPose of 1.4 million parameters that learns on a processor what a comparison needs."""
STRENGTH = 0.5
"""Of the augmentation: full strength is for trainings that are a hundred times longer."""
SIGMA = 1.5


@dataclass(frozen=True, slots=True)
class Amount:
    """How much one run trains.

    Attributes:
        entries: crops or proposals that are seen.
        batch: of them in a step.
        input_wh: their size in pixels.
        rate: highest learning rate.
    """

    entries: int
    batch: int
    input_wh: tuple[int, int]
    rate: float

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return max(self.entries // self.batch, 1)

    def words(self, what: str) -> str:
        """The amount for people."""
        width, height = self.input_wh
        seen = self.steps * self.batch
        return f"{seen:,} {what} of {width} x {height}, {self.steps:,} steps of {self.batch}, rate {self.rate:g}"


class Yardstick:
    """The validation people of a data folder, cut once for each way of cutting.

    Args:
        data: folder with lspet/val.json and coco/val.json.
        shape: joint set.
    """

    def __init__(self, data: Path, shape: Skeleton) -> None:
        self.data = data
        self.shape = shape
        self._cut: dict[tuple[str, tuple[int, int], bool, float], GivenBoxes] = {}

    def given(self, name: str, input_wh: tuple[int, int], *, erring: bool = False, enlarge: float = ENLARGE) -> Any:
        """The people of one set, by annotated or by erring boxes; the errors are the same every time."""
        key = (name, input_wh, erring, enlarge)
        if key not in self._cut:
            people = validation_people(self.data, name, self.shape)
            rng = np.random.default_rng(0)
            boxes = np.array([erring_box(p.box, rng) for p in people]) if erring else None
            self._cut[key] = cut_given_boxes(people, input_wh, boxes, enlarge)
        return self._cut[key]

    def figures(
        self,
        net: nn.Module,
        spec: EstimatorSpec,
        *,
        erring: bool = False,
        enlarge: float = ENLARGE,
        stn: nn.Module | None = None,
    ) -> Figures:
        """Single pass in float32: PCK@0.2 of the torso on both sets, OKS AP and AP50 on coco/val."""
        found: Figures = {}
        for name in ("lspet", "coco"):
            given = self.given(name, spec.input_wh, erring=erring, enlarge=enlarge)
            if stn is not None:
                given = through_transformer(stn, spec, given)
            xy, scores = predict(net, spec, given, self.shape, flip=False)
            found |= self._scored(name, given.people, xy, scores)
        return found

    def of_one_pose(self, pose: Float, input_wh: tuple[int, int]) -> Figures:
        """The same figures of one pose ``(K, 2)`` in crop pixels for everybody, put into the annotated boxes."""
        found: Figures = {}
        for name in ("lspet", "coco"):
            people = validation_people(self.data, name, self.shape)
            windows = [window_matrix(box_window(p.box, input_wh), input_wh) for p in people]
            xy = np.array([transform(invert(matrix), pose) for matrix in windows])
            found |= self._scored(name, people, xy, np.ones(xy.shape[:2]))
        return found

    def _scored(self, name: str, people: Sequence[Annotation], xy: Float, scores: Float) -> Figures:
        found = {f"{name}_pck": pck(xy, people, self.shape).mean}
        if name == "coco":
            figures = oks_ap(self.data / name / "val.json", xy, scores, people)
            found |= {"coco_ap": figures["AP"], "coco_ap50": figures["AP50"]}
        return found

    def centring(self, spec: EstimatorSpec, stn: nn.Module | None, enlarge: float) -> float:
        """How far the corners of the crops of erring boxes are from where they belong, in heights of the crop, mean."""
        right = self.given("coco", spec.input_wh)
        given = self.given("coco", spec.input_wh, erring=True, enlarge=enlarge)
        if stn is not None:
            given = through_transformer(stn, spec, given)
        width, height = spec.input_wh
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=float)
        apart = [
            np.linalg.norm(transform(wanted, transform(invert(matrix), corners)) - corners, axis=1).mean() / height
            for wanted, matrix in zip(right.matrices, given.matrices, strict=True)
        ]
        return float(np.mean(apart))


def fresh_spec(input_wh: tuple[int, int], *, integral: bool = False) -> EstimatorSpec:
    """The facts of a compact estimator at some input size, decoded by its peaks or by integration."""
    width, height = input_wh
    cells = (width // STRIDE, height // STRIDE)
    decode: Literal["integral", "master"] = "integral" if integral else "master"
    return EstimatorSpec("fastpose", SHAPE, skeleton(SHAPE).count, input_wh, cells, IMAGENET_MEAN, IMAGENET_STD, decode)


def mean_pose(sources: Sequence[Source], shape: Skeleton, input_wh: tuple[int, int]) -> Float:
    """Where joints are in a crop on average, ``(K, 2)`` crop pixels: what a network answers that sees nothing.

    Sources count by their shares, and both sides of the body alike, because crops are mirrored.
    """
    total, weight = np.zeros((shape.count, 2)), np.zeros((shape.count, 1))
    for share, people in load_sources(sources, shape):
        for box, joints, weights in zip(people.boxes, people.joints, people.weights, strict=True):
            crop = transform(window_matrix(box_window(box, input_wh), input_wh), joints)
            total += share / len(people) * crop * weights[:, None]
            weight += share / len(people) * weights[:, None]
    mean = total / np.maximum(weight, 1e-12)
    mirrored = mean[list(shape.flip)]
    mirrored[:, 0] = input_wh[0] - 1 - mirrored[:, 0]
    both: Float = (mean + mirrored) / 2
    return both


def human_sources(data: Path) -> list[Source]:
    """The standard sources without a teacher: no persons of its, and no face joints for people labelled by hand."""
    return [msgspec.structs.replace(s, teacher=None) for s in standard_sources(data) if s.kind == "human"]


def train_crops(
    sources: Sequence[Source],
    cache: Path,
    amount: Amount,
    *,
    integral: bool = False,
    seed: int = 0,
    network: FastPoseConfig = SMALL,
    tell: Tell = print,
) -> tuple[nn.Module, EstimatorSpec]:
    """Train a compact estimator from random weights; returns the averaged network and its facts.

    Args:
        sources: what is trained on.
        cache: folder for decoded pictures.
        amount: how much.
        integral: learn by symmetric integral regression instead of heatmaps.
        seed: of weights and draws.
        network: what is trained.
        tell: gets a line every now and then.
    """
    torch.manual_seed(seed)
    shape, spec = skeleton(SHAPE), fresh_spec(amount.input_wh, integral=integral)
    net: nn.Module = FastPose(network)
    initialise(net)
    weights = joint_weights(shape)
    objective = SikrObjective(spec, weights) if integral else HeatmapObjective(spec, weights, SIGMA)
    mixture = Mixture(load_sources(sources, shape), cache, shape, AugmentConfig(), seed)

    def make(number: int) -> Any:
        strength = STRENGTH * growing(number / amount.steps, 0.33)
        return mixture.batch(number, amount.batch, amount.input_wh, strength)

    learner: Learner[Any] = Learner(net, objective, _loop(amount, seed))
    _run(learner, make, tell)
    return learner.average.module, spec


@dataclass(frozen=True, slots=True)
class ProposalObjective:
    """Heatmaps of proposals as they are cut, without a transformer: what `SstnObjective` is compared with.

    Attributes:
        spec: normalisation and sizes.
        joint_weights: ``(K,)``.
        sigma: of the Gaussians, in cells.
    """

    spec: EstimatorSpec
    joint_weights: Tensor
    sigma: float = SIGMA

    def __call__(self, forward: Forward, batch: Proposals) -> Tensor:
        wh = self.spec.input_wh
        maps = forward(proposal_part(normalise(batch.context, self.spec), wh)).float()
        cells = (maps.shape[3], maps.shape[2])
        weights = batch.weights * self.joint_weights.to(maps.device)
        there, shown = gaussian_heatmaps(
            joints_in_proposal(batch, wh) / (wh[0] / cells[0]), weights, cells, sigma=self.sigma
        )
        return mean_over_all((cell_error(maps, there) * shown).sum(), shown.sum())


def train_proposals(
    weights: Path,
    sources: Sequence[Source],
    cache: Path,
    amount: Amount,
    variant: Variant,
    *,
    seed: int = 0,
    tell: Tell = print,
) -> tuple[nn.Module, nn.Module | None, EstimatorHeader]:
    """Go on training an estimator on proposals that err, with or without a spatial transformer in front of it.

    The transformer begins at the identity, with the estimator's own first stages. Batch statistics stay as they are.

    Returns:
        the averaged estimator, its transformer or None, and the header for a weight file of both.

    Raises:
        WeightsError: `weights` is not a file of ours.
    """
    torch.manual_seed(seed)
    loaded = load_estimator(weights)
    if loaded.header is None:
        raise WeightsError(f"{weights.name} is not a weight file of PoseViewer.", file=weights)
    wh = amount.input_wh
    spec = msgspec.structs.replace(
        loaded.spec, input_wh=wh, heatmap_wh=(wh[0] // STRIDE, wh[1] // STRIDE), stn=variant in ("alone", "parallel")
    )
    localiser = first_stages(loaded.header.network) if spec.stn else None
    header = msgspec.structs.replace(loaded.header, spec=spec, localiser=localiser)
    if variant == "untouched":
        return loaded.module, None, header
    shape = skeleton(spec.skeleton)
    noise = replace(NONE, erase=0.2, low_resolution=0.2)
    mixture = ProposalMixture(load_sources(sources, shape), cache, shape, noise, seed)
    make = partial(mixture.proposals, size=amount.batch, input_wh=wh)
    sppe = copy.deepcopy(loaded.module).requires_grad_(True)
    loop = msgspec.structs.replace(_loop(amount, seed), frozen_norms=True)
    if localiser is None:
        learner: Learner[Any] = Learner(sppe, ProposalObjective(spec, joint_weights(shape)), loop)
        _run(learner, make, tell)
        return learner.average.module, None, header
    stn = Localiser(localiser)
    stn.begin_from(loaded.module.get_submodule("preact"))
    objective = SstnObjective(spec, loaded.module, joint_weights(shape), SIGMA, centring=float(variant == "parallel"))
    learner = Learner(SymmetricNetwork(stn, sppe, wh), objective, loop)
    learner.objective = replace(objective, parallel=learner.in_precision(loaded.module))
    _run(learner, make, tell)
    learnt = learner.average.module
    return learnt.get_submodule("sppe"), learnt.get_submodule("stn"), header


def proposal_figures(
    trained: tuple[nn.Module, nn.Module | None, EstimatorHeader],
    variant: Variant,
    yardstick: Yardstick,
    file: Path,
    detector: Path,
    pictures: int,
) -> Figures:
    """Figures with boxes that err and behind a detector; writes the weights to `file`."""
    net, stn, header = trained
    # Boxes are enlarged as the network was trained: it was not trained on proposals where nothing was trained here.
    enlarge = ENLARGE if variant == "untouched" else PROPOSAL
    found = yardstick.figures(net, header.spec, erring=True, enlarge=enlarge, stn=stn)
    found["centring"] = yardstick.centring(header.spec, stn, enlarge)
    save_estimator(file, net, header, stn)
    config = PipelineConfig(estimator=str(file), detector=str(detector), stn=stn is not None, enlargement=enlarge - 1)
    behind = validate_pipeline(config, yardstick.data / "coco" / "val.json", limit=pictures)
    return found | {f"behind_{key.lower()}": behind[key] or 0.0 for key in ("AP", "AP50")}


class Answering(nn.Module):
    """A loaded estimator as a module: its own backend, layout and precision."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self._networks = networks

    def forward(self, x: Tensor) -> Tensor:
        """Normalised crops ``(B, 3, H, W)`` to heatmaps ``(B, K, h, w)`` float32."""
        plain = self._networks.backend.name == "eager"
        answer = self._networks.answer(
            x.contiguous(memory_format=torch.contiguous_format if plain else torch.channels_last)
        )
        if not isinstance(answer, Tensor):
            raise TypeError("only heatmaps are compared")
        return answer


def tried_backends(weights: Path) -> dict[str, Networks]:
    """The estimator of a weight file by plain torch in float32, by what "auto" picks, and by torch in bf16."""
    wanted: Mapping[BackendTried, PipelineConfig] = {
        "eager": PipelineConfig(estimator=str(weights), backend="eager"),
        "auto": PipelineConfig(estimator=str(weights)),
        "bf16": PipelineConfig(estimator=str(weights), backend="torch", precision="bf16"),
    }
    return {name: load_networks(config) for name, config in wanted.items()}


def backend_figures(
    weights: Path, yardstick: Yardstick, *, rounds: int = 8, batch: int = 16
) -> tuple[Figures, dict[str, str]]:
    """Accuracy and pace of the backends, in turns in one process; the second dict says what each one was.

    Paces are crops a second; ratios are medians over the rounds of a backend's pace to plain torch's in the same round,
    by the clock and by processor time, which other programs do not disturb as much.
    """
    networks = tried_backends(weights)
    figures: Figures = {}
    for name, each in networks.items():
        found = yardstick.figures(Answering(each), each.spec)
        figures |= {f"{name}_{key}": value for key, value in found.items()}
    spec = networks["eager"].spec
    crops = yardstick.given("coco", spec.input_wh).crops[:batch]
    inputs = normalise(torch.from_numpy(crops), spec)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    for turn in range(rounds + 2):
        for name, each in networks.items():
            seconds = _seconds(partial(Answering(each), inputs))
            if turn >= 2:
                times[name].append(seconds)
    for name, rows in times.items():
        figures[f"{name}_pace"] = len(crops) / statistics.median(row[0] for row in rows)
        for place, unit in enumerate(("clock", "processor")):
            ratios = [e[place] / row[place] for e, row in zip(times["eager"], rows, strict=True)]
            figures[f"{name}_{unit}"] = statistics.median(ratios)
    return figures, {name: each.backend.words() for name, each in networks.items()}


@torch.inference_mode()
def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    began, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - busy


def _loop(amount: Amount, seed: int) -> LoopConfig:
    return LoopConfig(
        steps=amount.steps, rate=amount.rate, warm_up=max(amount.steps // 10, 1), precision="bf16", seed=seed
    )


def _run(learner: Learner[Any], make: Callable[[int], Any], tell: Tell) -> None:
    """Train to the end of the budget, telling the mean loss twenty times."""
    every = max(learner.config.steps // 20, 1)

    def report(at: Learner[Any]) -> list[str]:
        return [f"step {at.step}, loss {at.take_loss():.5f}"] if at.step % every == 0 else []

    for line in run(learner, lambda start: ahead(make, start), [report]):
        tell(line)
