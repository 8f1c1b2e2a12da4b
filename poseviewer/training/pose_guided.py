"""Pose-guided proposals: detector-like boxes made from true ones, to train on.

Two ways. :func:`master_proposal` is what AlphaPose's code does: one set of Gaussian offsets for all poses.
:class:`ProposalGenerator` is what its paper says: poses are aligned by the torso and clustered into atomic poses, and
each of these has its own Gaussian mixture of the offsets between detected and true boxes.

Symbols: N persons, K joints, A atomic poses, C Gaussians of a mixture. Facts: reference/alphapose.md section 8; RMPE
(Fang et al. 2017) section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
PATCH_ABOVE = 0.85
"""Uniform draws above this cut a patch out of the box instead of moving its sides."""
MEANS = (-0.0142, 0.0043, 0.0154, -0.0013)
DEVIATIONS = (0.1158, 0.068, 0.1337, 0.0711)
"""Of the offsets of x1, y1, x2, y2 in box sizes, as published."""
BORDER = 3
"""Boxes stay so many pixels away from the right and lower border of the picture."""
LEAST_SIDE = 2
LEAST_OF_GAUSSIAN = 10
"""Persons that each Gaussian of a mixture needs."""
LEAST_VARIANCE = 1e-4
"""A hundredth of a box: a Gaussian of one person alone would repeat that person's error exactly."""
SETTLED = 1e-6
"""A fit ends when the mean log density grows by less."""


@dataclass(frozen=True, slots=True)
class ProposalDraws:
    """The random numbers of one proposal in the order in which they are drawn.

    Attributes:
        patch: uniform; above 0.85 a patch of this size is cut.
        place: two uniforms, x and y of the patch; used only then.
        sides: four standard normals for x1, y1, x2, y2; used otherwise.
    """

    patch: float
    place: tuple[float, float]
    sides: tuple[float, float, float, float]

    @classmethod
    def random(cls, rng: np.random.Generator) -> ProposalDraws:
        """Draw them all."""
        x, y = rng.random(2)
        x1, y1, x2, y2 = rng.standard_normal(4)
        return cls(float(rng.random()), (float(x), float(y)), (float(x1), float(y1), float(x2), float(y2)))


def master_proposal(box: Sequence[float] | Array, picture_wh: tuple[int, int], draws: ProposalDraws) -> Array:
    """A proposal for a true box as AlphaPose's master computes it.

    Args:
        box: ``(4,)`` xyxy pixels.
        picture_wh: of the picture; the proposal stays inside it.
        draws: the random numbers.

    Returns:
        ``(4,)`` xyxy.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = x2 - x1, y2 - y1
    if draws.patch > PATCH_ABOVE:
        part_width, part_height = draws.patch * width, draws.patch * height
        x1 += draws.place[0] * (width - part_width)
        y1 += draws.place[1] * (height - part_height)
        return np.array([x1, y1, x1 + part_width + 1, y1 + part_height + 1])
    shift = np.asarray(MEANS) + np.asarray(DEVIATIONS) * np.asarray(draws.sides)
    right, lower = picture_wh[0] - BORDER, picture_wh[1] - BORDER
    left = max(1.0, min(x1 + shift[0] * width, right))
    top = max(1.0, min(y1 + shift[1] * height, lower))
    return np.array(
        [
            left,
            top,
            min(max(left + LEAST_SIDE, x2 + shift[2] * width), right),
            min(max(top + LEAST_SIDE, y2 + shift[3] * height), lower),
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A Gaussian mixture over box offsets.

    Attributes:
        weights: ``(C,)``, sum 1; means: ``(C, D)``; covariances: ``(C, D, D)``.
    """

    weights: Array
    means: Array
    covariances: Array

    def sample(self, rng: np.random.Generator) -> Array:
        """Draw one offset ``(D,)``."""
        component = int(rng.choice(len(self.weights), p=self.weights))
        factor = np.linalg.cholesky(self.covariances[component])
        drawn: Array = self.means[component] + factor @ rng.standard_normal(len(factor))
        return drawn

    def log_likelihood(self, values: Array) -> float:
        """Mean log density of values ``(N, D)``."""
        return float(_log_sum(_log_joint(self, values)).mean())


def fit_mixture(values: Array, components: int, rng: np.random.Generator, *, rounds: int = 100) -> Mixture:
    """Fit a Gaussian mixture with full covariances to values ``(N, D)`` by expectation and maximisation.

    Fewer values than ten for each Gaussian give fewer Gaussians, at least one. It starts from k-means.

    Raises:
        ValueError: if there are no values.
    """
    if not len(values):
        raise ValueError("a mixture needs at least one value")
    count = max(1, min(components, len(values) // LEAST_OF_GAUSSIAN))
    _, label = cluster(values, count, rng)
    mixture = _maximised(values, np.eye(count)[label])
    before = -np.inf
    for _ in range(rounds):
        joint = _log_joint(mixture, values)
        total = _log_sum(joint)
        mixture = _maximised(values, np.exp(joint - total[:, None]))
        if total.mean() - before < SETTLED:
            break
        before = float(total.mean())
    return mixture


def cluster(
    values: Array,
    count: int,
    rng: np.random.Generator,
    *,
    known: npt.NDArray[np.bool_] | None = None,
    rounds: int = 100,
) -> tuple[Array, npt.NDArray[np.int64]]:
    """k-means with k-means++ starts, where some coordinates of some values may be unknown.

    A distance is the mean over the coordinates that a value knows; a centre the mean of the values that know it.

    Args:
        values: ``(N, D)``; count: of clusters, at most N; known: ``(N, D)``, all unless given.

    Returns:
        centres ``(count, D)`` and the cluster of each value ``(N,)``. A cluster that loses all its values keeps its
        centre.
    """
    there = np.ones(values.shape, dtype=bool) if known is None else known
    filled = np.where(there, values, 0.0)
    usual = filled.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    centres = [np.where(there, values, usual)[int(rng.integers(len(values)))]]
    while len(centres) < count:
        far = _distances(filled, there, np.stack(centres)).min(axis=1)
        share = far / far.sum() if far.sum() > 0 else np.full(len(far), 1 / len(far))
        centres.append(np.where(there, values, usual)[int(rng.choice(len(values), p=share))])
    middle = np.stack(centres)
    label = np.full(len(values), -1)
    for _ in range(rounds):
        nearest = _distances(filled, there, middle).argmin(axis=1)
        if (nearest == label).all():
            break
        label = nearest
        member = np.eye(count)[label]
        seen = member.T @ there
        middle = np.where(seen > 0, (member.T @ filled) / np.maximum(seen, 1), middle)
    return middle, label.astype(np.int64)


def aligned(joints: Array, visible: npt.NDArray[np.bool_], torso: Sequence[tuple[int, int]]) -> tuple[Array, Array]:
    """Poses moved and scaled so that their torsos lie at the origin with length 1.

    Args:
        joints: ``(N, K, 2)`` pixels; visible: ``(N, K)``.
        torso: (shoulder, opposite hip) index pairs, :meth:`poseviewer.core.skeleton.Skeleton.torso`.

    Returns:
        ``(N, K, 2)`` and ``(N,)`` bool, whether a person has a torso (the others are zeros).
    """
    pairs = np.asarray(torso, dtype=np.int64).reshape(-1, 2)
    first, second = joints[:, pairs[:, 0]], joints[:, pairs[:, 1]]
    counts = visible[:, pairs[:, 0]] & visible[:, pairs[:, 1]]
    number = np.maximum(counts.sum(axis=1), 1)
    length = (np.linalg.norm(first - second, axis=2) * counts).sum(axis=1) / number
    middle = ((first + second) / 2 * counts[..., None]).sum(axis=1) / number[:, None]
    whole = counts.any(axis=1) & (length > 0)
    scaled = (joints - middle[:, None]) / np.where(whole, length, 1.0)[:, None, None]
    return np.where(whole[:, None, None], scaled, 0.0), whole


def offsets(detected: Array, true: Array) -> Array:
    """Offsets ``(N, 4)`` of x1, y1, x2, y2 of detected boxes from true ones, in sizes of the true boxes."""
    size = np.tile(true[:, 2:] - true[:, :2], 2)
    return (detected - true) / np.maximum(size, 1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class ProposalGenerator:
    """Makes proposals from what a detector did with people in such poses.

    Attributes:
        torso: (shoulder, opposite hip) index pairs.
        atoms: ``(A, K, 2)`` atomic poses, aligned by the torso.
        mixtures: A, of the offsets of each atomic pose.
        usual: of the offsets of all persons, for those without a torso.
    """

    torso: tuple[tuple[int, int], ...]
    atoms: Array
    mixtures: tuple[Mixture, ...]
    usual: Mixture

    @classmethod
    def fit(
        cls,
        joints: Array,
        visible: npt.NDArray[np.bool_],
        true: Array,
        detected: Array,
        torso: tuple[tuple[int, int], ...],
        rng: np.random.Generator,
        *,
        atoms: int = 12,
        gaussians: int = 3,
    ) -> ProposalGenerator:
        """Learn from persons whose true and detected boxes are known.

        Args:
            joints: ``(N, K, 2)`` pixels; visible: ``(N, K)`` bool.
            true, detected: ``(N, 4)`` xyxy boxes of the same persons.
            torso: :meth:`poseviewer.core.skeleton.Skeleton.torso`.
            rng: source of the random starts.
            atoms: atomic poses; gaussians: of each mixture, at most.

        Raises:
            ValueError: if there is nobody.
        """
        moved = offsets(detected, true)
        poses, whole = aligned(joints, visible, torso)
        usual = fit_mixture(moved, gaussians, rng)
        if not whole.any():
            # Nobody has a shoulder and the opposite hip, or the joint set has none: one mixture for all poses.
            return cls(torso, np.zeros((0, *joints.shape[1:])), (), usual)
        known = np.repeat(visible[whole], 2, axis=1)
        centres, label = cluster(
            poses[whole].reshape(int(whole.sum()), -1), min(atoms, int(whole.sum())), rng, known=known
        )
        mixtures = []
        for atom in range(len(centres)):
            values = moved[whole][label == atom]
            mixtures.append(fit_mixture(values, gaussians, rng) if len(values) >= LEAST_OF_GAUSSIAN else usual)
        return cls(torso, centres.reshape(len(centres), -1, 2), tuple(mixtures), usual)

    def atom(self, joints: Array, visible: npt.NDArray[np.bool_]) -> int:
        """The atomic pose nearest to a person's ``(K, 2)`` joints; -1 without a torso, or where no pose was learnt."""
        poses, whole = aligned(joints[None], visible[None], self.torso)
        if not (whole[0] and len(self.atoms)):
            return -1
        known = np.repeat(visible[None], 2, axis=1)
        centres = self.atoms.reshape(len(self.atoms), -1)
        return int(_distances(np.where(known, poses.reshape(1, -1), 0.0), known, centres)[0].argmin())

    def propose(
        self,
        box: Array,
        joints: Array,
        visible: npt.NDArray[np.bool_],
        picture_wh: tuple[int, int],
        rng: np.random.Generator,
    ) -> Array:
        """Draw a detector-like box ``(4,)`` xyxy of a person, inside the picture and at least 2 pixels wide and high.

        Args:
            box: ``(4,)`` true box; joints: ``(K, 2)``; visible: ``(K,)`` bool; picture_wh: of the picture.
        """
        atom = self.atom(joints, visible)
        moved = (self.mixtures[atom] if atom >= 0 else self.usual).sample(rng)
        found = np.asarray(box, dtype=np.float64) + moved * np.tile(box[2:] - box[:2], 2)
        last = np.asarray(picture_wh, dtype=np.float64) - 1
        low = np.clip(found[:2], 0, last - LEAST_SIDE)
        return np.concatenate([low, np.clip(found[2:], low + LEAST_SIDE, last)])


def _distances(filled: Array, there: npt.NDArray[np.bool_], centres: Array) -> Array:
    """Mean squared distances ``(N, A)`` over the coordinates that are there."""
    squared = filled**2 @ np.ones_like(centres.T) - 2 * filled @ centres.T + there @ (centres**2).T
    found: Array = np.maximum(squared, 0.0) / np.maximum(there.sum(axis=1), 1)[:, None]
    return found


def _maximised(values: Array, share: Array) -> Mixture:
    """The mixture whose Gaussians take the shares ``(N, C)`` of the values."""
    number = share.sum(axis=0) + 1e-9
    means = share.T @ values / number[:, None]
    apart = values[:, None] - means
    covariances = np.einsum("nc,nci,ncj->cij", share, apart, apart) / number[:, None, None]
    return Mixture(number / number.sum(), means, covariances + LEAST_VARIANCE * np.eye(values.shape[1]))


def _log_joint(mixture: Mixture, values: Array) -> Array:
    """Logarithm of weight times density, ``(N, C)``."""
    factors = np.linalg.cholesky(mixture.covariances)
    columns = []
    for factor, mean, weight in zip(factors, mixture.means, mixture.weights, strict=True):
        white = np.linalg.solve(factor, (values - mean).T)
        log_size = np.log(np.diag(factor)).sum() + len(mean) * np.log(2 * np.pi) / 2
        columns.append(np.log(weight) - 0.5 * (white**2).sum(axis=0) - log_size)
    return np.stack(columns, axis=1)


def _log_sum(values: Array) -> Array:
    top = values.max(axis=1)
    found: Array = top + np.log(np.exp(values - top[:, None]).sum(axis=1))
    return found
