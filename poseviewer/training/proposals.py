"""The boxes that a training cuts its crops by, where these are not the true ones shaken at random.

A :class:`Proposer` draws them: as a detector errs with people in such poses (PGPG), or with AlphaPose's fixed draws. A
:class:`PartPlacer` draws the box of a whole person around somebody of whom a data set shows a face or a hand alone, so
that the part lies in its crop as it does in a whole person's. Both are learnt from the training set
(`training.proposal_fit`) and kept as plain data.

Symbols: N persons, K joints. Facts: reference/alphapose.md section 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import FormatError
from poseviewer.core.files import write_bytes
from poseviewer.core.skeleton import Skeleton
from poseviewer.training.datasets import PersonSet
from poseviewer.training.pose_guided import (
    LEAST_OF_GAUSSIAN,
    Mixture,
    ProposalDraws,
    ProposalGenerator,
    fit_mixture,
    master_proposal,
)

Array = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
ProposalKind = Literal["noise", "pgpg", "fixed"]
HAND_WORDS = frozenset({"hand", "thumb", "forefinger", "index", "finger", "middle", "ring", "pinky"})
SEEN_OF_PART = 0.5
"""Whole people teach where a part lies if so much of it is labelled."""
LEAST_SIDE = 2.0
"""A part is taken to have at least so many pixels."""
PART_OF_BOX = 0.4
"""The joints of a part fill at least so much of a box that is the part's own, by their longer sides."""
PLACING_GAUSSIANS = 3


def part_joints(shape: Skeleton) -> dict[str, Mask]:
    """The parts that data sets show alone, by name -> which joints ``(K,)`` belong to them; those that the set has."""
    face = np.isin(np.arange(shape.count), shape.face)
    found = {"face": face}
    hand = np.array([bool(HAND_WORDS & set(joint.split())) for joint in shape.joints]) & ~face
    for side in ("left", "right"):
        found[f"{side} hand"] = hand & np.array([own == side for own in shape.sides])
    # Of a set that is nothing but a part, that part is the whole.
    return {name: joints for name, joints in found.items() if joints.any()} if shape.torso() else {}


def part_of(visible: Mask, parts: Mapping[str, Mask]) -> str:
    """The part of which a person with the labelled joints ``(K,)`` shows most; "" where there is more than parts."""
    known = np.zeros(len(visible), dtype=np.bool_)
    for joints in parts.values():
        known |= joints
    if not visible.any() or (visible & ~known).any():
        return ""
    return max(parts, key=lambda name: int((visible & parts[name]).sum()))


def is_part_only(people: PersonSet, parts: Mapping[str, Mask]) -> bool:
    """Whether a data set shows nothing but parts: nobody has another joint, and the boxes are those of the parts.

    People of whom only the face is labelled, but whose boxes are theirs, are none of it.
    """
    labelled = people.weights > 0
    rows = np.flatnonzero(labelled.any(axis=1))
    if not len(rows) or not all(part_of(labelled[row], parts) for row in rows):
        return False
    sizes = [_extent(people.joints[row], labelled[row])[1] for row in rows]
    sides = (people.boxes[rows, 2:] - people.boxes[rows, :2]).max(axis=1)
    return bool(np.median(np.array(sizes) / np.maximum(sides, LEAST_SIDE)) >= PART_OF_BOX)


@dataclass(frozen=True, slots=True, eq=False)
class PartPlacer:
    """Where whole people's boxes lie around their parts.

    Attributes:
        parts: as `part_joints` has them.
        placings: part -> mixture of x, y of the box's centre from the part's, and of the logarithms of its width and
            height; lengths are in sizes of the part (its longer side).
    """

    parts: Mapping[str, Mask]
    placings: Mapping[str, Mixture]

    @classmethod
    def fit(
        cls, joints: Array, visible: Mask, boxes: Array, parts: Mapping[str, Mask], rng: np.random.Generator
    ) -> PartPlacer:
        """Learn from whole people; a part that fewer than ten of them show is not learnt.

        Args:
            joints: ``(N, K, 2)`` pixels; visible: ``(N, K)``.
            boxes: ``(N, 4)`` xyxy of the whole people.
            parts: as `part_joints` has them.
            rng: source of the random starts.
        """
        found: dict[str, Mixture] = {}
        for name, members in parts.items():
            enough = (visible & members).sum(axis=1) >= max(2, SEEN_OF_PART * members.sum())
            if enough.sum() >= LEAST_OF_GAUSSIAN:
                rows = zip(joints[enough], visible[enough], boxes[enough], strict=True)
                values = [_placing(*_extent(xy, seen & members), box) for xy, seen, box in rows]
                found[name] = fit_mixture(np.stack(values), PLACING_GAUSSIANS, rng)
        return cls(parts, found)

    def place(self, joints: Array, visible: Mask, rng: np.random.Generator) -> Array | None:
        """Draw the box ``(4,)`` xyxy of the whole person around a part; it may reach beyond the picture.

        Args:
            joints: ``(K, 2)`` pixels; visible: ``(K,)``.
            rng: source of the draw.

        Returns:
            None where the person shows more than a part, or nobody taught where this part lies.
        """
        name = part_of(visible, self.parts)
        if name not in self.placings:
            return None
        centre, size = _extent(joints, visible & self.parts[name])
        drawn = self.placings[name].sample(rng)
        middle, half = centre + drawn[:2] * size, np.exp(drawn[2:]) * size / 2
        return np.concatenate([middle - half, middle + half])


def _extent(joints: Array, members: Mask) -> tuple[npt.NDArray[np.float64], float]:
    """Centre ``(2,)`` and longer side of some joints."""
    points = np.asarray(joints[members], dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, max(float((high - low).max()), LEAST_SIDE)


def _placing(centre: npt.NDArray[np.float64], size: float, box: Array) -> npt.NDArray[np.float64]:
    corners = np.asarray(box, dtype=np.float64)
    sides = np.maximum(corners[2:] - corners[:2], LEAST_SIDE)
    return np.concatenate([((corners[:2] + corners[2:]) / 2 - centre) / size, np.log(sides / size)])


@dataclass(frozen=True, slots=True, eq=False)
class Proposer:
    """Draws the box that stands for a person's true one.

    Attributes:
        kind: "noise" leaves the true box to the random shaking of the crop; "pgpg" errs as the detector does with such
            poses; "fixed" are AlphaPose's draws, the same for all poses.
        generator: of the detector's errors; only for "pgpg".
        placer: for data sets that show parts only; None leaves them their own boxes.
    """

    kind: ProposalKind = "noise"
    generator: ProposalGenerator | None = None
    placer: PartPlacer | None = None

    def places(self, people: PersonSet) -> bool:
        """Whether a data set shows parts only, which are placed."""
        return self.placer is not None and is_part_only(people, self.placer.parts)

    def propose(
        self, box: Array, joints: Array, visible: Mask, picture_wh: tuple[int, int], rng: np.random.Generator
    ) -> Array:
        """Draw a proposal ``(4,)`` xyxy for a person.

        Args:
            box: ``(4,)`` true box; joints: ``(K, 2)``; visible: ``(K,)``; picture_wh: of the picture.
            rng: source of the draw.
        """
        if self.kind == "fixed":
            return master_proposal(np.asarray(box, dtype=np.float64), picture_wh, ProposalDraws.random(rng))
        if self.generator is None:
            return box
        true = np.asarray(box, dtype=np.float64)
        return self.generator.propose(true, np.asarray(joints, dtype=np.float64), visible, picture_wh, rng)


# --- as plain data ---


class _Gaussians(msgspec.Struct, frozen=True):
    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]

    def mixture(self) -> Mixture:
        weights, means, covariances = (np.asarray(v, np.float64) for v in (self.weights, self.means, self.covariances))
        count, size = len(weights), 4
        if not count or means.shape != (count, size) or covariances.shape != (count, size, size):
            raise ValueError("a mixture's numbers do not fit each other")
        if not all(np.isfinite(v).all() for v in (weights, means, covariances)):
            raise ValueError("a mixture holds something that is no number")
        if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError("a mixture's weights are no shares")
        np.linalg.cholesky(covariances)  # refuses, as a ValueError, what is no covariance
        return Mixture(weights, means, covariances)


class _Atom(msgspec.Struct, frozen=True):
    pose: tuple[tuple[float, float], ...]
    errors: _Gaussians


class _Stored(msgspec.Struct, frozen=True):
    """The file: ``errors`` are box offsets x1, y1, x2, y2 in box sizes, ``parts`` as :class:`PartPlacer` has them."""

    kind: ProposalKind
    joints: tuple[str, ...]
    note: str = ""
    errors: _Gaussians | None = None
    atoms: tuple[_Atom, ...] = ()
    parts: dict[str, _Gaussians] = {}


def write_proposer(file: Path, proposer: Proposer, shape: Skeleton, note: str = "") -> None:
    """Write a proposer as JSON; `note` says what it was learnt from."""
    generator, placer = proposer.generator, proposer.placer
    atoms: Sequence[_Atom] = ()
    if generator is not None:
        pairs = zip(generator.atoms.tolist(), generator.mixtures, strict=True)
        atoms = [_Atom(tuple((x, y) for x, y in pose), _gaussians(mixture)) for pose, mixture in pairs]
    stored = _Stored(
        proposer.kind,
        shape.joints,
        note,
        None if generator is None else _gaussians(generator.usual),
        tuple(atoms),
        {} if placer is None else {name: _gaussians(mixture) for name, mixture in placer.placings.items()},
    )
    write_bytes(file, msgspec.json.format(msgspec.json.encode(stored), indent=1))


def read_proposer(file: Path, shape: Skeleton) -> Proposer:
    """Read what `write_proposer` wrote; the same draws follow from it.

    Raises:
        FormatError: it is not such a file, or of another joint set.
    """
    try:
        stored = msgspec.json.decode(file.read_bytes(), type=_Stored)
        if stored.joints != shape.joints:
            raise ValueError(f"its joints are not those of {shape.title}")
        generator = None
        if stored.errors is not None:
            poses = np.array([atom.pose for atom in stored.atoms], dtype=np.float64).reshape(-1, shape.count, 2)
            mixtures = tuple(atom.errors.mixture() for atom in stored.atoms)
            generator = ProposalGenerator(shape.torso(), poses, mixtures, stored.errors.mixture())
        if (stored.kind == "pgpg") != (generator is not None):
            raise ValueError("the errors of a detector are missing or superfluous")
        placings = {name: said.mixture() for name, said in stored.parts.items()}
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise FormatError(f"{file.name} does not say how boxes are drawn: {error}.", file=file) from error
    return Proposer(stored.kind, generator, PartPlacer(part_joints(shape), placings) if placings else None)


def _gaussians(mixture: Mixture) -> _Gaussians:
    parts: list[Any] = [mixture.weights.tolist(), mixture.means.tolist(), mixture.covariances.tolist()]
    return msgspec.convert(dict(zip(("weights", "means", "covariances"), parts, strict=True)), _Gaussians)
