"""The symmetric spatial transformer network trained end to end (RMPE section 3.2; reference/alphapose.md section 9).

    python -m poseviewer.training.sstn --weights W --data FILE.json --out W2 --cache DIR --minutes 15

A localisation network (STN) cuts the person out of a proposal, the pose network (SPPE) answers for that crop, and the
inverse transformer (SDTN) takes its heatmaps back into the proposal, where the labels are. Beside it runs the parallel
SPPE: a frozen copy after the same STN, without SDTN, whose labels are centred. Its error is what makes the STN centre
people instead of just any crop that the SPPE can read; no gradient changes its own weights.

A training that was killed goes on from its checkpoint, beside W2, when the same command is given again.

Symbols: B proposals, K joints, H, W crop size, h, w heatmap size.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.core.errors import WeightsError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.unpickle import sha256_of
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, LoadedEstimator, load_estimator, save_estimator
from poseviewer.ops.crops import normalising_matrix, sdtn_gamma, square
from poseviewer.ops.targets import cell_error, gaussian_heatmaps
from poseviewer.training.augment import NONE
from poseviewer.training.batches import ahead
from poseviewer.training.command import run_command
from poseviewer.training.datasets import gather, read_annotations
from poseviewer.training.loop import Forward, Learner, LoopConfig, Save, checkpoint_of, run
from poseviewer.training.objectives import joint_weights
from poseviewer.training.ranks import mean_over_all
from poseviewer.training.transformer import ProposalMixture, Proposals, proposal_part, sample_through
from poseviewer.training.validate import normalise

SAVE_SECONDS = 60.0


class SymmetricNetwork(nn.Module):
    """STN and SPPE as one network.

    Args:
        stn: proposal crops to theta.
        sppe: crops to heatmaps.
        input_wh: size of the crops.
    """

    def __init__(self, stn: nn.Module, sppe: nn.Module, input_wh: tuple[int, int]) -> None:
        super().__init__()
        self.stn = stn
        self.sppe = sppe
        self.input_wh = input_wh

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Proposals with their surroundings ``(B, 3, H', W')`` to theta ``(B, 2, 3)``, the crops that it cuts
        ``(B, 3, H, W)``, and their heatmaps ``(B, K, h, w)``."""
        theta = self.stn(proposal_part(context, self.input_wh)).float()
        crops = sample_through(context, theta, self.input_wh)
        return theta, crops, self.sppe(crops)


def symmetric_network(loaded: LoadedEstimator) -> SymmetricNetwork:
    """The two networks of a weight file, ready to learn; raises WeightsError where there is no STN."""
    if loaded.stn is None:
        raise WeightsError("These weights have no spatial transformer to train.")
    # A loaded network is frozen; what is trained is a copy.
    net = SymmetricNetwork(copy.deepcopy(loaded.stn), copy.deepcopy(loaded.module), loaded.spec.input_wh)
    return net.requires_grad_(True)


def take_back(maps: Tensor, theta: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """SDTN on heatmaps: those of the crop that theta cut, ``(B, K, h, w)``, as they lie in the proposal.

    Outside the crop they are 0. Gamma is about crop pixels; a heatmap's cell i is crop pixel stride * i, so corners of
    maps and crops are not the same places.
    """
    height, width = maps.shape[-2:]
    stride = torch.diag(maps.new_tensor([input_wh[0] / width, input_wh[1] / height, 1.0]).double())
    unit, cells = (normalising_matrix(size, device=maps.device) for size in (input_wh, (width, height)))
    outer = unit @ stride @ torch.linalg.inv(cells)
    gamma = torch.linalg.inv(outer) @ square(sdtn_gamma(theta.double())) @ outer
    grid = F.affine_grid(gamma[:, :2].to(maps.dtype), list(maps.shape), align_corners=True)
    back: Tensor = F.grid_sample(maps, grid, align_corners=True)
    return back


def joints_in_proposal(batch: Proposals, input_wh: tuple[int, int]) -> Tensor:
    """The joints ``(B, K, 2)`` in pixels of the proposal crop: theta maps what is centred to the proposal."""
    unit = normalising_matrix(input_wh, device=batch.joints.device)
    inner = torch.linalg.inv(unit) @ square(batch.theta.double()) @ unit
    points = batch.joints.double() @ inner[:, :2, :2].mT + inner[:, None, :2, 2]
    found: Tensor = points.float()
    return found


@dataclass(frozen=True, slots=True)
class SstnObjective:
    """Heatmaps in the proposal through STN, SPPE and SDTN, with the parallel SPPE as regulariser.

    Attributes:
        spec: normalisation and sizes.
        parallel: forward pass of the frozen copy of the SPPE.
        joint_weights: ``(K,)``.
        sigma: of the Gaussians, in cells.
        centring: weight of the parallel SPPE's error.
    """

    spec: EstimatorSpec
    parallel: Forward
    joint_weights: Tensor
    sigma: float = 2.0
    centring: float = 1.0

    def __call__(self, forward: Forward, batch: Proposals) -> Tensor:
        theta, crops, maps = forward(normalise(batch.context, self.spec))
        stride = self.spec.input_wh[0] / maps.shape[3]
        weights = batch.weights * self.joint_weights.to(maps.device)
        wh = (maps.shape[3], maps.shape[2])
        there, shown = gaussian_heatmaps(
            joints_in_proposal(batch, self.spec.input_wh) / stride, weights, wh, sigma=self.sigma
        )
        found = take_back(maps.float(), theta, self.spec.input_wh)
        own = mean_over_all((cell_error(found, there) * shown).sum(), shown.sum())
        centred, weights = gaussian_heatmaps(batch.joints / stride, weights, wh, sigma=self.sigma)
        judged = self.parallel(crops).float()
        return own + self.centring * mean_over_all((cell_error(judged, centred) * weights).sum(), weights.sum())


def train_sstn(weights: Path, data: Path, out: Path, cache: Path, loop: LoopConfig, batch: int = 16) -> None:
    """Train transformer and estimator of a weight file together, and write both; goes on with what was cut off.

    Args:
        weights: of ours, with a transformer (see `training.transformer`).
        data: COCO keypoint file with its pictures in images/ beside it.
        out: weight file to write.
        cache: folder for decoded pictures.
        loop: budget and rates; batch statistics stay as they are.
        batch: proposals a step.

    Raises:
        WeightsError, FormatError, MediaError, DeviceError: what cannot be used.
        CallError: the checkpoint beside `out` is of other weights.
    """
    loaded = load_estimator(weights)
    net = symmetric_network(loaded)
    header = loaded.header
    if header is None:
        raise WeightsError(f"{weights.name} is not a weight file of PoseViewer.", file=weights)
    shape = skeleton(loaded.spec.skeleton)
    people = gather(data.stem, read_annotations(data, data.parent / "images", shape))
    noise = dataclasses.replace(NONE, erase=0.2, low_resolution=0.2)
    mixture = ProposalMixture([(1.0, people)], cache, shape, noise, loop.seed)
    objective = SstnObjective(loaded.spec, loaded.module, joint_weights(shape))
    learner: Learner[Proposals] = Learner(net, objective, loop)
    parallel = learner.in_precision(loaded.module.to(learner.device))
    learner.objective = dataclasses.replace(objective, parallel=parallel)
    make = partial(mixture.proposals, size=batch, input_wh=loaded.spec.input_wh)
    checkpoint = checkpoint_of(out)
    learner.mark = sha256_of(weights)
    if learner.restore(checkpoint):
        print(f"going on from step {learner.step}")
    before = learner.step
    for _ in run(learner, lambda start: ahead(make, start), [Save(SAVE_SECONDS, checkpoint)]):
        pass
    if learner.step > before:
        print(f"{learner.seen} proposals, mean loss {learner.take_loss():.5f}")
    _write(out, header, learner)
    checkpoint.unlink(missing_ok=True)


def _write(out: Path, header: EstimatorHeader, learner: Learner[Proposals]) -> None:
    """Write the averages of both networks as one weight file."""
    learnt = learner.average.module.cpu()
    note = f"trained end to end with its transformer on {learner.seen} proposals"
    said = f"{header.note}; {note}" if header.note else note
    header = msgspec.structs.replace(header, note=said)
    save_estimator(out, learnt.get_submodule("sppe"), header, learnt.get_submodule("stn"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Train an estimator and its spatial transformer end to end.")
    parser.add_argument("--weights", type=Path, required=True, help="estimator weights with a transformer")
    parser.add_argument("--data", type=Path, required=True, help="COCO keypoint file, pictures in images/ beside it")
    parser.add_argument("--out", type=Path, required=True, help="estimator weights to write")
    parser.add_argument("--cache", type=Path, required=True, help="folder for decoded pictures")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--steps", type=int, default=0, help="budget in steps, beside the minutes")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    loop = LoopConfig(60 * asked.minutes, asked.steps, rate=asked.rate, device=asked.device, frozen_norms=True)
    work = partial(train_sstn, asked.weights, asked.data, asked.out, asked.cache, loop, asked.batch)
    return run_command(work, asked.threads)


if __name__ == "__main__":
    raise SystemExit(main())
