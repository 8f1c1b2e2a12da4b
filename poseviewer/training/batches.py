"""Batches of augmented person crops, mixed from several sets by given shares and made ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from poseviewer.core.errors import DeviceError, FormatError, KnownError
from poseviewer.core.geometry import transform
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.words import counted
from poseviewer.training.augment import (
    AugmentConfig,
    body_part,
    cut_part,
    disturb,
    picture_part,
    random_window,
    window_matrix,
)
from poseviewer.training.datasets import PersonSet
from poseviewer.training.pixels import PixelStore
from poseviewer.training.proposals import Proposer

T = TypeVar("T")
LAST_NUMBER = 2**40
NOWHERE = -1e4
"""Crop pixels of a joint that is not in the picture."""
LOWER_BODY = ("left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops (B, H, W, 3) uint8 RGB; joints (B, K, 2) in crop pixels; weights (B, K)."""

    crops: Tensor
    joints: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.crops)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; from pinned memory without waiting."""
        crops, joints, weights = (
            part.to(device, non_blocking=True) for part in (self.crops, self.joints, self.weights)
        )
        return Batch(crops, joints, weights)

    def pin_memory(self) -> Batch:
        """The batch in memory that a CUDA device reads by itself; called by the loader."""
        return Batch(self.crops.pin_memory(), self.joints.pin_memory(), self.weights.pin_memory())


class Mixture:
    """Makes batch number n of a training; the same number gives the same batch, so a resumed run continues.

    Args:
        sets: (share, people) pairs; shares are normalised.
        cache: folder for the decoded pictures.
        skeleton: names the flip pairs and the lower body.
        config: augmentation at full strength.
        seed: of all draws.
        proposer: draws the boxes that crops are cut by; None takes the true ones, shaken by `config.box_noise`.

    Raises:
        FormatError: there is nobody to train on.
    """

    def __init__(
        self,
        sets: Sequence[tuple[float, PersonSet]],
        cache: Path,
        skeleton: Skeleton,
        config: AugmentConfig,
        seed: int = 0,
        proposer: Proposer | None = None,
    ) -> None:
        chosen = [(share, people) for share, people in sets if len(people) and share > 0]
        if not chosen:
            raise FormatError("The data sets hold nobody with labelled joints.", remedy="Check the data folder.")
        self.sets = [people for _, people in chosen]
        self.stores = [PixelStore(people.images, cache) for people in self.sets]
        shares = np.array([share for share, _ in chosen])
        self.shares = shares / shares.sum()
        self.flip = np.array(skeleton.flip)
        self.lower = [skeleton.joints.index(name) for name in LOWER_BODY if name in skeleton.joints]
        self.config = config
        self.seed = seed
        self.proposer = proposer
        self._placed = [proposer is not None and proposer.places(people) for people in self.sets]

    def batch(
        self, number: int, size: int, input_wh: tuple[int, int], strength: float, part: tuple[int, int] = (0, 1)
    ) -> Batch:
        """Batch `number` of `size` crops at `input_wh` with augmentation at `strength` 0..1.

        `part` is (which, of how many) workers: together they make what a single one makes.
        """
        crops, joints, weights = [], [], []
        for entry in range(part[0], size, part[1]):
            rng = np.random.default_rng((self.seed, number, entry))
            chosen = int(rng.choice(len(self.sets), p=self.shares))
            place = int(rng.integers(len(self.sets[chosen])))
            crop, joint, weight = self._person(chosen, place, input_wh, strength, rng)
            crops.append(crop)
            joints.append(joint)
            weights.append(weight)
        return Batch(
            torch.from_numpy(np.stack(crops)),
            torch.from_numpy(np.stack(joints)),
            torch.from_numpy(np.stack(weights)),
        )

    def _person(
        self, chosen: int, place: int, input_wh: tuple[int, int], strength: float, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        people = self.sets[chosen]
        joints, weights = people.joints[place], people.weights[place]
        picture = self.stores[chosen][int(people.image_index[place])]
        whole = picture.shape[1], picture.shape[0]
        box, config = self._box(chosen, place, whole, strength, rng)
        box = body_part(box, joints, weights, config, strength, self.lower, rng)
        part, absent = picture_part(box, whole, config, strength, rng), people.absent[place]
        if part != (0, 0, *whole):
            box = np.clip(box, part[:2] * 2, part[2:] * 2)
            outside = ((joints < part[:2]) | (joints > np.subtract(part[2:], 1))).any(1)
            absent = absent | (outside & (weights > 0))
        window = random_window(box, input_wh, config, strength, rng)
        matrix = window_matrix(window, input_wh)
        crop = disturb(cut_part(picture, part, matrix, input_wh), self.config, strength, rng)
        moved = np.where(absent[:, None], NOWHERE, transform(matrix, joints))
        weights = np.where(absent, np.float32(1.0), weights)
        if window.mirrored:
            moved, weights = moved[self.flip], weights[self.flip]
        return crop, moved.astype(np.float32), weights

    def _box(
        self, chosen: int, place: int, picture_wh: tuple[int, int], strength: float, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.floating], AugmentConfig]:
        """The box xyxy that a crop is cut by, and what else happens to it."""
        people = self.sets[chosen]
        box, proposer = people.boxes[place], self.proposer
        if proposer is None:
            return box, self.config
        joints, seen = people.joints[place], people.weights[place] > 0
        if self._placed[chosen]:
            placed = proposer.placer.place(joints, seen, rng) if proposer.placer is not None else None
            # Half a body would be cut to the part again.
            return (box if placed is None else placed), replace(self.config, half_body=0.0)
        if proposer.kind == "noise":
            return box, self.config
        drawn = proposer.propose(box, joints, seen, picture_wh, rng)
        return box + strength * (drawn - box), replace(self.config, box_noise=0.0)


def ahead(make: Callable[[int], T], start: int, depth: int = 3, *, readers: int = 0) -> Generator[T, None, None]:
    """Batches start, start + 1, ... made ahead; closing the iterator ends what makes them.

    Args:
        make: from a number to a batch; with readers it travels to other processes.
        start: first number.
        depth: how many may wait.
        readers: processes that make batches in turn, for a device that is faster than one thread; 0 is a thread here.
    """
    return _by_readers(make, start, depth, readers) if readers else _by_thread(make, start, depth)


class _Numbered(Dataset[Any]):
    """Batches by their number, as torch's loader wants them; a known error in the place of one that it prevents.

    Raised in a reader, an error would come back as a report of many lines.
    """

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make

    def __getitem__(self, number: int) -> Any:
        try:
            return self._make(number)
        except KnownError as error:
            return error
        except MemoryError:
            return _too_little("for the batches that are made ahead")


def _by_readers(make: Callable[[int], T], start: int, depth: int, readers: int) -> Generator[T, None, None]:
    # A forked reader may hang in OpenMP's locks; a spawned one starts clean.
    loader = DataLoader(
        _Numbered(make),
        batch_size=None,
        sampler=range(start, LAST_NUMBER),
        num_workers=readers,
        prefetch_factor=depth,
        multiprocessing_context="spawn",
        pin_memory=torch.cuda.is_available(),
    )
    try:
        for item in loader:
            if isinstance(item, KnownError):
                raise item
            yield item
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        # Killed from outside: nearly always because the memory, or what processes share of it, is used up.
        raise _too_little(f"for {counted(readers, 'reader')}") from error


def _too_little(what: str) -> DeviceError:
    return DeviceError(
        f"The computer's memory does not suffice {what}.",
        remedy="Close other programs, or train with fewer readers or a smaller batch.",
    )


def _by_thread(make: Callable[[int], T], start: int, depth: int) -> Generator[T, None, None]:
    ready: queue.Queue[T | BaseException] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | BaseException) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def work() -> None:
        number = start
        while not stop.is_set():
            try:
                put(make(number))
            except MemoryError:
                put(_too_little("for the batches that are made ahead"))
                return
            except BaseException as error:  # handed to the trainer, which raises it
                put(error)
                return
            number += 1

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)
