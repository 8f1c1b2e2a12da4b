"""Pictures for training the person detector: packed once, then cut, scaled and put together as mosaics.

All pictures are decoded once into one flat file of bytes that is mapped into memory, so a training that starts again
is ready in a second and the reader costs next to nothing beside the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from poseviewer.core.errors import FormatError
from poseviewer.core.files import write_bytes

GREY = 114
# Folder, annotation file, teacher file; validation pictures are in none of them.
TRAIN_SETS = (("coco", 1.0), ("coco2", 1.0), ("voc", 1.0), ("photos", 0.7))
MOST_BOXES = 60
# Long side of a single picture, in sides of the canvas, by gentle and large.
SCALES = {
    (False, False): (0.55, 1.5),
    (False, True): (0.65, 2.2),
    (True, False): (0.75, 1.15),
    (True, True): (0.75, 1.6),
}


@dataclass(frozen=True, slots=True)
class PackedPicture:
    """One picture of the pack and what is known about its people.

    Attributes:
        offset, height, width: its place in the flat file, (height, width, 3) RGB uint8.
        boxes: (n, 4) float32 xyxy of human boxes in packed pixels.
        unsure: (m, 4) float32 xyxy regions (crowds, difficult persons) where a person is neither right nor wrong.
        seen: (k, 4) float32 xyxy, persons that a teacher found; they only attract the cut, they are no truth.
        complete: every person outside ``unsure`` has a human box.
        weight: how often it is drawn, relative to others.
    """

    offset: int
    height: int
    width: int
    boxes: NDArray[np.float32]
    unsure: NDArray[np.float32]
    seen: NDArray[np.float32]
    complete: bool
    weight: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A made-up training picture.

    Attributes:
        image: (S, S, 3) RGB uint8.
        boxes: (n, 4) float32 xyxy human boxes that are still visible enough.
        unsure: (m, 4) float32 xyxy where nothing is claimed.
        known: (t, 4) float32 xyxy rectangles in which the human boxes are complete.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    unsure: NDArray[np.float32]
    known: NDArray[np.float32]


def pack_pictures(data: Path, folder: Path, *, long_side: int = 416) -> None:
    """Decode the training pictures of ``data`` into ``folder/pictures.bin`` and ``folder/pictures.json``.

    Args:
        data: the folder that holds ``coco``, ``coco2``, ``voc`` and ``photos``.
        folder: where the pack goes; an existing pack is kept.
        long_side: pictures larger than this are reduced to it.

    Raises:
        FormatError: a picture or annotation file cannot be read.
    """
    index, binary = folder / "pictures.json", folder / "pictures.bin"
    if index.exists() and binary.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    offset = 0
    part = binary.with_suffix(".part")
    with part.open("wb") as stream:
        for name, weight in TRAIN_SETS:
            for row, file in _rows_of(data / name, weight):
                image = cv2.imread(str(file), cv2.IMREAD_COLOR)
                if image is None:
                    raise FormatError(f"The training picture {file} cannot be read.", file=file)
                scale = min(1.0, long_side / max(image.shape[:2]))
                if scale < 1.0:
                    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                for key in ("boxes", "unsure", "seen"):
                    row[key] = [[round(value * scale, 1) for value in box] for box in row[key]]
                rgb = np.ascontiguousarray(image[:, :, ::-1])
                stream.write(rgb.tobytes())
                rows.append(row | {"offset": offset, "height": rgb.shape[0], "width": rgb.shape[1]})
                offset += rgb.size
    part.replace(binary)
    write_bytes(index, json.dumps(rows).encode())


def _rows_of(folder: Path, weight: float) -> Iterator[tuple[dict[str, Any], Path]]:
    truth = _json(folder / "train.json")
    teacher = _json(folder / "teacher_train.json")
    rows: dict[int, dict[str, Any]] = {}
    files: dict[int, Path] = {}
    for image in truth["images"]:
        complete = bool(image.get("boxes_complete")) or bool(image.get("no_person"))
        rows[image["id"]] = {"boxes": [], "unsure": [], "seen": [], "complete": complete, "weight": weight}
        files[image["id"]] = folder / "images" / image["file_name"]
    for person in truth["annotations"]:
        x, y, w, h = person["bbox"]
        unsure = person.get("iscrowd") or person.get("difficult")
        rows[person["image_id"]]["unsure" if unsure else "boxes"].append([x, y, x + w, y + h])
    for person in teacher["annotations"]:
        x, y, w, h = person["bbox"]
        if person["score"] >= 0.4 and person["image_id"] in rows:
            rows[person["image_id"]]["seen"].append([x, y, x + w, y + h])
    for number, row in rows.items():
        yield row, files[number]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FormatError(f"The annotation file {path} cannot be read: {error}.", file=path) from error
    if not isinstance(value, dict):
        raise FormatError(f"The annotation file {path} is not a COCO file.", file=path)
    return value


class PicturePack:
    """The packed pictures, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        rows = json.loads((folder / "pictures.json").read_bytes())
        self._bytes = np.memmap(folder / "pictures.bin", dtype=np.uint8, mode="r")
        self.pictures = [
            PackedPicture(
                row["offset"],
                row["height"],
                row["width"],
                _boxes(row["boxes"]),
                _boxes(row["unsure"]),
                _boxes(row["seen"]),
                row["complete"],
                row["weight"],
            )
            for row in rows
        ]

    def __len__(self) -> int:
        return len(self.pictures)

    def pixels(self, picture: PackedPicture) -> NDArray[np.uint8]:
        """Return the picture as (height, width, 3) RGB uint8, read-only."""
        size = picture.height * picture.width * 3
        flat = self._bytes[picture.offset : picture.offset + size]
        return flat.reshape(picture.height, picture.width, 3)


def _boxes(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    return np.asarray(rows, np.float32).reshape(-1, 4)


class CutMaker:
    """Makes training pictures: a mosaic of four cuts or one scaled picture, mirrored and recoloured at random.

    Args:
        pack: the pictures.
        size: side S of the pictures to make, pixels.
        mosaic: share of mosaics, 0 to 1.
        gentle: colours and scales vary less (the last part of a training).
        large: single pictures are enlarged further, so that people fill the picture or are cut off by its edge.
    """

    def __init__(
        self, pack: PicturePack, size: int, *, mosaic: float, gentle: bool = False, large: bool = False
    ) -> None:
        self.pack = pack
        self.size = size
        self.mosaic = mosaic
        self.gentle = gentle
        self.scales = SCALES[gentle, large]
        weights = np.array([picture.weight for picture in pack.pictures])
        self._cumulative = np.cumsum(weights / weights.sum())

    def make(self, random: np.random.Generator) -> Cut:
        """Return one new training picture."""
        size = self.size
        canvas = np.full((size, size, 3), GREY, np.uint8)
        parts: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]] = []
        if random.random() < self.mosaic:
            cx, cy = (int(size * random.uniform(0.3, 0.7)) for _ in range(2))
            cells = ((0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size))
            parts.extend(self._place(canvas, cell, float(np.exp(random.uniform(-0.9, 0.15))), random) for cell in cells)
        else:
            scale = float(np.exp(random.uniform(*np.log(self.scales))))
            parts.append(self._place(canvas, (0, 0, size, size), scale, random))
        boxes, unsure = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        known = np.array([part[2] for part in parts if part[2] is not None], np.float32).reshape(-1, 4)
        return Cut(_recoloured(canvas, random, gentle=self.gentle), boxes, unsure, known)

    def _place(
        self,
        canvas: NDArray[np.uint8],
        cell: tuple[int, int, int, int],
        relative: float,
        random: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Draw one picture into a cell; its long side becomes ``relative`` times the canvas side."""
        index = int(np.searchsorted(self._cumulative, random.random(), side="right"))
        picture = self.pack.pictures[min(index, len(self.pack) - 1)]
        x0, y0, x1, y1 = cell
        scale = relative * self.size / max(picture.height, picture.width)
        sx, sy = (
            scale * float(np.exp(random.uniform(-0.1, 0.1))),
            scale * float(np.exp(random.uniform(-0.1, 0.1))),
        )
        width, height = max(round(picture.width * sx), 8), max(round(picture.height * sy), 8)
        sx, sy = width / picture.width, height / picture.height
        image = cv2.resize(
            self.pack.pixels(picture),
            (width, height),
            interpolation=cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR,
        )
        mirror = random.random() < 0.5
        if mirror:
            image = image[:, ::-1]
        known = (picture.boxes, picture.unsure, picture.seen)
        moved = [_moved(boxes, sx, sy, width if mirror else None) for boxes in known]
        focus = self._focus(np.concatenate([moved[0], moved[2]]), random)
        left = _shift(width, x1 - x0, focus[0] if focus else None, random)
        top = _shift(height, y1 - y0, focus[1] if focus else None, random)
        ax0, ay0 = max(x0, x0 + left), max(y0, y0 + top)
        ax1, ay1 = min(x1, x0 + left + width), min(y1, y0 + top + height)
        canvas[ay0:ay1, ax0:ax1] = image[ay0 - y0 - top : ay1 - y0 - top, ax0 - x0 - left : ax1 - x0 - left]
        window = np.array([ax0, ay0, ax1, ay1], np.float32)
        shift = np.array([x0 + left, y0 + top] * 2, np.float32)
        boxes, lost = _clipped(moved[0] + shift, window)
        unsure, _ = _clipped(moved[1] + shift, window, least=0.0)
        return boxes, np.concatenate([unsure, lost]), window if picture.complete else None

    def _focus(self, people: NDArray[np.float32], random: np.random.Generator) -> tuple[float, float] | None:
        if not len(people) or random.random() > 0.8:
            return None
        x0, y0, x1, y1 = people[random.integers(len(people))]
        return float(x0 + (x1 - x0) * random.uniform(0.2, 0.8)), float(y0 + (y1 - y0) * random.uniform(0.2, 0.8))


def _shift(length: int, room: int, focus: float | None, random: np.random.Generator) -> int:
    """Where the picture starts inside its cell: free if it fits, else cut so that ``focus`` stays inside."""
    if length <= room:
        return int(random.integers(0, room - length + 1))
    if focus is None:
        return -int(random.integers(0, length - room + 1))
    return -int(np.clip(focus - room * random.uniform(0.25, 0.75), 0, length - room))


def _moved(boxes: NDArray[np.float32], sx: float, sy: float, mirror_width: int | None) -> NDArray[np.float32]:
    moved = boxes * np.array([sx, sy, sx, sy], np.float32)
    if mirror_width is not None:
        moved = np.stack([mirror_width - moved[:, 2], moved[:, 1], mirror_width - moved[:, 0], moved[:, 3]], 1)
    return moved


def _clipped(
    boxes: NDArray[np.float32], window: NDArray[np.float32], *, least: float = 0.25
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Clip boxes to a window; returns those of which ``least`` is left, and the slivers of the others."""
    cut = np.concatenate(
        [np.clip(boxes[:, :2], window[:2], window[2:]), np.clip(boxes[:, 2:], window[:2], window[2:])], 1
    ).astype(np.float32)
    sides, full = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    visible = (sides > 1.0).all(1)
    share = sides.prod(1) / np.maximum(full.prod(1), 1e-6)
    enough = visible & (share >= least) & (sides.min(1) >= 3.0)
    return cut[enough], cut[visible & ~enough]


def _recoloured(image: NDArray[np.uint8], random: np.random.Generator, *, gentle: bool) -> NDArray[np.uint8]:
    strength = 0.5 if gentle else 1.0
    values = np.arange(256, dtype=np.float32)
    gain = np.exp(random.uniform(-0.3, 0.3) * strength)
    gamma = np.exp(random.uniform(-0.3, 0.3) * strength)
    tint = np.exp(random.uniform(-0.1, 0.1, 3) * strength)
    tables = [np.clip(255 * (values / 255) ** gamma * gain * t, 0, 255) for t in tint]
    table = np.stack(tables, -1).astype(np.uint8)[None]
    image = np.asarray(cv2.LUT(image, table), np.uint8)
    if random.random() < 0.05 * strength:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
    return image


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of made-up pictures; boxes are padded with zeros to the same count.

    Attributes:
        images: (B, 3, S, S) uint8 RGB.
        boxes, unsure, known: (B, n, 4) float32 xyxy, see :class:`Cut`.
    """

    images: torch.Tensor
    boxes: torch.Tensor
    unsure: torch.Tensor
    known: torch.Tensor


class CutStream(IterableDataset[Batch]):
    """An endless, reproducible stream of batches: batch i depends on the seed and i alone.

    Args:
        folder: the pack's folder.
        size, mosaic, gentle, large: see :class:`CutMaker`.
        batch: pictures per batch.
        seed, first: the first batch is number ``first`` of the stream with this seed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: int,
        batch: int,
        mosaic: float,
        gentle: bool,
        seed: int,
        first: int,
        large: bool = False,
    ) -> None:
        super().__init__()
        self.folder, self.size, self.batch = folder, size, batch
        self.mosaic, self.gentle, self.large = mosaic, gentle, large
        self.seed, self.first = seed, first

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        pack = PicturePack(self.folder)
        maker = CutMaker(pack, self.size, mosaic=self.mosaic, gentle=self.gentle, large=self.large)
        number = self.first
        while True:
            random = np.random.default_rng([self.seed, number])
            yield collate([maker.make(random) for _ in range(self.batch)])
            number += 1


def collate(cuts: Sequence[Cut]) -> Batch:
    """Stack cuts into a batch."""
    images = torch.from_numpy(np.stack([cut.image for cut in cuts])).permute(0, 3, 1, 2)
    return Batch(
        images,
        _padded([cut.boxes for cut in cuts]),
        _padded([cut.unsure for cut in cuts]),
        _padded([cut.known for cut in cuts]),
    )


def _padded(rows: Sequence[NDArray[np.float32]]) -> torch.Tensor:
    count = min(max(len(row) for row in rows), MOST_BOXES)
    padded = torch.zeros(len(rows), count, 4)
    for i, row in enumerate(rows):
        padded[i, : min(len(row), count)] = torch.from_numpy(row[:count])
    return padded
