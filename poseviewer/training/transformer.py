"""Train the spatial transformer in front of a frozen estimator (RMPE section 3.2, parallel SPPE).

    python -m poseviewer.training.transformer --weights W --data FOLDER --out W2 --cache DIR --minutes 15

Proposal crops are cut with the errors of a detector. The localisation network learns to bring the person back to
the centre at the size that the estimator was trained on: by the theta that would do so exactly, and by the frozen
estimator's heatmaps of the transformed crop against centred labels, whose gradient passes through the sampling.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from poseviewer.core.errors import CallError
from poseviewer.core.geometry import compose, invert, transform
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPoseConfig
from poseviewer.nets.stn import Localiser, LocaliserConfig
from poseviewer.nets.unpickle import sha256_of
from poseviewer.nets.weights import load_estimator, read_own, save_estimator
from poseviewer.ops.crops import normalising_matrix, square
from poseviewer.ops.targets import foreground_mse, gaussian_heatmaps
from poseviewer.training.augment import NONE, PROPOSAL, Window, box_window, cut, disturb, window_matrix
from poseviewer.training.batches import Mixture, ahead
from poseviewer.training.command import run_command
from poseviewer.training.datasets import Source, load_sources, standard_sources
from poseviewer.training.loop import Every, Forward, Hook, Learner, LoopConfig, Save, checkpoint_of, run
from poseviewer.training.validate import erring_box, normalise

Float = npt.NDArray[np.floating]
# Around the proposal lies more picture, because the transformer may look beyond it.
CONTEXT = 1.5
# Width in cells of the labels that the frozen estimator is compared with.
JUDGED_SIGMA = 2.0
REPORT_STEPS = 100
SAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Proposals with their surroundings.

    Attributes:
        context: (B, H', W', 3) uint8, the proposal crop in its middle, at the crop's scale.
        theta: (B, 2, 3) float32 that would centre the person.
        joints: (B, K, 2) in pixels of the centred crop; weights: (B, K).
    """

    context: Tensor
    theta: Tensor
    joints: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.context)

    def to(self, device: torch.device) -> Proposals:
        """The proposals on a device."""
        parts = (self.context, self.theta, self.joints, self.weights)
        return Proposals(*(part.to(device, non_blocking=True) for part in parts))


class TransformerConfig(msgspec.Struct, frozen=True):
    """A training of the transformer.

    Attributes:
        weights: estimator file; sources: as for the estimator; out: file to write; cache: decoded pictures.
        loop: budget, rates, device.
        localiser: the network; None is the estimator's own first three stages, begun from its weights. A file that
            has such a transformer already goes on from that.
        begin: file whose transformer of the same layers is gone on from instead, whatever its `shrink`.
        batch: proposals a step.
        heatmap_weight: of the frozen estimator's loss beside the theta loss.
        onto: estimator file that gets the transformer instead of `weights`, for instance one of the same network
            that was still being trained meanwhile.
        heatmap_every: the estimator judges every n-th step: it costs many times the localisation network.
        write_every: seconds between two writings of `out`.
    """

    weights: Path
    sources: tuple[Source, ...]
    out: Path
    cache: Path
    loop: LoopConfig
    localiser: LocaliserConfig | None = None
    begin: Path | None = None
    batch: int = 64
    heatmap_weight: float = 3.0
    heatmap_every: int = 4
    onto: Path | None = None
    write_every: float = 300.0


@dataclass(frozen=True, slots=True)
class TransformerStep:
    """Mean losses since the last report: theta (smooth L1) and heatmaps; `untouched` is theta's loss at identity."""

    step: int
    progress: float
    theta: float
    heatmap: float
    untouched: float


class ProposalMixture(Mixture):
    """Batches of proposals instead of well centred crops."""

    def proposals(self, number: int, size: int, input_wh: tuple[int, int]) -> Proposals:
        """Batch `number` of `size` proposals."""
        rng = np.random.default_rng((self.seed, number))
        rows = [
            self._proposal(int(chosen), int(rng.integers(len(self.sets[chosen]))), input_wh, rng)
            for chosen in rng.choice(len(self.sets), size=size, p=self.shares)
        ]
        columns = [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]
        return Proposals(columns[0], columns[1].float(), columns[2].float(), columns[3])

    def _proposal(
        self, chosen: int, place: int, input_wh: tuple[int, int], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], Float, Float, npt.NDArray[np.float32]]:
        people = self.sets[chosen]
        box, joints, weights = people.boxes[place], people.joints[place], people.weights[place]
        mirrored = bool(rng.random() < 0.5)
        centred = _mirror(box_window(box, input_wh), mirrored)
        proposal = _mirror(box_window(erring_box(box, rng, rng.uniform(0.3, 1.6)), input_wh, PROPOSAL), mirrored)
        context_wh = (int(input_wh[0] * CONTEXT), int(input_wh[1] * CONTEXT))
        wide = Window(proposal.centre, (proposal.size[0] * CONTEXT, proposal.size[1] * CONTEXT), 0.0, mirrored)
        picture = self.stores[chosen][int(people.image_index[place])]
        context = disturb(cut(picture, window_matrix(wide, context_wh), context_wh), self.config, 1.0, rng)
        to_centred = window_matrix(centred, input_wh)
        theta = normalised_theta(window_matrix(proposal, input_wh), to_centred, input_wh)
        moved = transform(to_centred, joints)
        if mirrored:
            moved, weights = moved[self.flip], weights[self.flip]
        return context, theta, moved, weights


def normalised_theta(proposal: Float, wanted: Float, input_wh: tuple[int, int]) -> Float:
    """Theta (2, 3) that turns the proposal crop into the wanted one; both matrices map picture to crop pixels."""
    inner = np.vstack([compose(proposal, invert(wanted)), [0, 0, 1]])
    unit = normalising_matrix(input_wh).numpy()
    theta: Float = (unit @ inner @ np.linalg.inv(unit))[:2]
    return theta


def sample_through(context: Tensor, theta: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """Crops (B, 3, H, W) that theta, relative to the proposal, cuts out of the context (B, 3, H', W')."""
    height, width = context.shape[-2:]
    own, wide = normalising_matrix(input_wh), normalising_matrix((width, height))
    # The proposal's pixel (0, 0) is this context pixel: both crops share their centre (W / 2, H / 2).
    shift = torch.eye(3, dtype=torch.float64)
    shift[0, 2], shift[1, 2] = (width - input_wh[0]) / 2, (height - input_wh[1]) / 2
    outer = (wide @ shift @ torch.linalg.inv(own)).to(theta)
    grid = F.affine_grid(
        (outer @ square(theta))[:, :2], [len(context), 3, input_wh[1], input_wh[0]], align_corners=True
    )
    return F.grid_sample(context, grid, align_corners=True)


def proposal_part(context: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """The proposal crop in the middle of the context."""
    top, left = (context.shape[2] - input_wh[1]) // 2, (context.shape[3] - input_wh[0]) // 2
    return context[:, :, top : top + input_wh[1], left : left + input_wh[0]]


class TransformerTrainer:
    """One training of the transformer: the learner, the frozen estimator that judges it, and sums for the reports."""

    def __init__(self, config: TransformerConfig) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.estimator = load_estimator(config.weights)
        header, _ = read_own(config.weights)
        self.localiser = config.localiser or first_stages(header.network)
        net = Localiser(self.localiser)
        self._begin(net)
        self.learner: Learner[Proposals] = Learner(net, self._loss, config.loop)
        self.learner.mark = sha256_of(config.weights)
        self._judge = self.learner.in_precision(self.estimator.module.to(self.learner.device))
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def _begin(self, net: Localiser) -> None:
        file = self.config.begin or self.config.weights
        known, header = load_estimator(file).stn, read_own(file)[0].localiser
        if known is not None and header is not None and _layers(header) == _layers(self.localiser):
            net.load_state_dict(known.state_dict())
        elif self.config.begin is not None:
            raise CallError(f"{file.name} has no spatial transformer of these layers to begin with.", file=file)
        else:
            net.begin_from(self.estimator.module.get_submodule("preact"))

    def _loss(self, forward: Forward, batch: Proposals) -> Tensor:
        """Of theta; the estimator judges every few steps once the first third is over."""
        context = normalise(batch.context, self.estimator.spec)
        theta = forward(proposal_part(context, self.estimator.spec.input_wh)).float()
        loss = theta_loss(theta, batch.theta)
        self._count("theta", loss)
        self._count("untouched", theta_loss(torch.eye(2, 3, device=theta.device).expand_as(theta), batch.theta))
        if self.learner.progress > 1 / 3 and self.learner.step % self.config.heatmap_every == 0:
            heat = self._heatmap_loss(context, theta, batch)
            self._count("heatmap", heat)
            loss = loss + self.config.heatmap_weight * heat
        return loss

    def _heatmap_loss(self, context: Tensor, theta: Tensor, batch: Proposals) -> Tensor:
        spec = self.estimator.spec
        heatmaps = self._judge(sample_through(context, theta, spec.input_wh))
        stride = spec.input_wh[0] / spec.heatmap_wh[0]
        wanted, weights = gaussian_heatmaps(batch.joints / stride, batch.weights, spec.heatmap_wh, sigma=JUDGED_SIGMA)
        return foreground_mse(heatmaps, wanted, weights)

    def _count(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
        self._counts[name] = self._counts.get(name, 0) + 1

    def report(self) -> TransformerStep:
        """Mean losses since the last report; raises KnownError where they are no numbers any more."""
        self.learner.take_loss()
        means = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        self._sums, self._counts = {}, {}
        theta, heatmap, untouched = (means.get(name, 0.0) for name in ("theta", "heatmap", "untouched"))
        return TransformerStep(self.learner.step, self.learner.progress, theta, heatmap, untouched)

    def write(self) -> None:
        """Write the estimator, or `onto` as it is by now, together with the transformer."""
        target = self.config.onto or self.config.weights
        header, _ = read_own(target)
        header = msgspec.structs.replace(
            header, spec=msgspec.structs.replace(header.spec, stn=True), localiser=self.localiser
        )
        learnt = copy.deepcopy(self.learner.average.module).cpu()
        save_estimator(self.config.out, load_estimator(target).module, header, learnt)


class _Tell:
    """Hook: the mean losses every hundred steps and at the end."""

    def __init__(self, trainer: TransformerTrainer) -> None:
        self._trainer = trainer

    def __call__(self, learner: Learner[Proposals]) -> Iterator[TransformerStep]:
        if learner.step % REPORT_STEPS == 0 or learner.progress >= 1.0:
            yield self._trainer.report()


class _Write:
    """Hook: the file as it is by now, so that it can be tried meanwhile."""

    def __init__(self, trainer: TransformerTrainer) -> None:
        self._trainer = trainer
        self._every = Every(trainer.config.write_every)

    def __call__(self, learner: Learner[Proposals]) -> Iterator[TransformerStep]:
        if self._every.due(learner):
            self._trainer.write()
        return iter(())


def first_stages(network: FastPoseConfig, stages: int = 3, shrink: int = 2) -> LocaliserConfig:
    """A localisation network of the first stages of an estimator's backbone."""
    return LocaliserConfig(
        stem=network.stem,
        stem_width=network.stem_width,
        block=network.block,
        depths=network.depths[:stages],
        planes=network.planes[:stages],
        se_reduction=network.se_reduction,
        shrink=shrink,
    )


def _layers(localiser: LocaliserConfig) -> LocaliserConfig:
    """What decides the tensors; any crop size fits them."""
    return msgspec.structs.replace(localiser, shrink=1)


def theta_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Smooth L1 of thetas (B, 2, 3): quadratic up to a fortieth of the crop."""
    return F.smooth_l1_loss(found, wanted, beta=0.05)


def train_transformer(config: TransformerConfig) -> Iterator[TransformerStep]:
    """Train, then write the estimator with its transformer to `config.out`; goes on with what was cut off.

    Raises:
        WeightsError, FormatError, MediaError, DeviceError: the inputs are not usable.
        CallError: the checkpoint beside `config.out` is of other weights.
    """
    trainer = TransformerTrainer(config)
    spec, learner, checkpoint = trainer.estimator.spec, trainer.learner, checkpoint_of(config.out)
    shape = skeleton(spec.skeleton)
    noise = dataclasses.replace(NONE, erase=0.2, low_resolution=0.2)
    sets = load_sources(config.sources, shape)
    mixture = ProposalMixture(sets, config.cache, shape, noise, config.loop.seed)
    learner.restore(checkpoint)
    make = partial(mixture.proposals, size=config.batch, input_wh=spec.input_wh)
    hooks: list[Hook[TransformerStep]] = [_Tell(trainer), _Write(trainer), Save(SAVE_SECONDS, checkpoint)]
    yield from run(learner, lambda start: ahead(make, start), hooks)
    trainer.write()
    checkpoint.unlink(missing_ok=True)


def _mirror(window: Window, mirrored: bool) -> Window:
    return dataclasses.replace(window, mirrored=mirrored)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 on a known error."""
    parser = argparse.ArgumentParser(description="Train the spatial transformer of an estimator.")
    parser.add_argument("--weights", type=Path, required=True, help="estimator weights (safetensors)")
    parser.add_argument("--data", type=Path, required=True, help="folder with lspet/, coco/, ...")
    parser.add_argument("--out", type=Path, required=True, help="estimator weights to write")
    parser.add_argument("--cache", type=Path, required=True, help="folder for decoded pictures")
    parser.add_argument("--onto", type=Path, help="estimator weights that get the transformer (default: --weights)")
    parser.add_argument("--begin", type=Path, help="estimator weights whose transformer is gone on from")
    parser.add_argument("--shrink", type=int, default=2, help="the proposal is averaged down by this factor first")
    parser.add_argument("--minutes", type=float, default=15, help="budget over all starts")
    parser.add_argument("--steps", type=int, default=0, help="budget in steps, beside the minutes")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options), options.threads)


def _main(options: argparse.Namespace) -> None:
    header, _ = read_own(options.weights)
    loop = LoopConfig(
        seconds=options.minutes * 60,
        steps=options.steps,
        rate=options.rate,
        warm_up=200,
        precision="bf16",
        device=options.device,
        seed=1,
    )
    config = TransformerConfig(
        options.weights,
        tuple(standard_sources(options.data)),
        options.out,
        options.cache,
        loop,
        onto=options.onto,
        begin=options.begin,
        localiser=first_stages(header.network, shrink=options.shrink),
    )
    for event in train_transformer(config):
        print(event, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
