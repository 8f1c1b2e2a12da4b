"""Training pictures of the detector: boxes stay on their people through scaling, cutting, mirroring and mosaics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from poseviewer.core.errors import FormatError
from poseviewer.training.detection_data import CutMaker, CutStream, PicturePack, pack_pictures

PERSON = (40, 30, 110, 150)


def write_sets(folder: Path, *, count: int = 3, complete: bool = True) -> Path:
    """Write the four training sets and a validation set: grey pictures, every person a red block."""
    number = 0
    for name in ("coco", "coco2", "voc", "photos"):
        (folder / name / "images").mkdir(parents=True)
        for split in ("train", "val"):
            images: list[dict[str, Any]] = []
            persons: list[dict[str, Any]] = []
            for _ in range(count):
                number += 1
                picture = np.full((200, 260, 3), 60, np.uint8)
                x0, y0, x1, y1 = PERSON
                picture[y0:y1, x0:x1] = (0, 0, 255)
                file = f"{number}.png"
                cv2.imwrite(str(folder / name / "images" / file), picture)
                images.append(
                    {"id": number, "file_name": file, "width": 260, "height": 200, "boxes_complete": complete}
                )
                persons.append(
                    {
                        "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": 0,
                        "bbox": [x0, y0, x1 - x0, y1 - y0], "area": 4000.0, "score": 0.9, "keypoints": [0] * 51,
                    }
                )  # fmt: skip
            content = {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
            (folder / name / f"{split}.json").write_text(json.dumps(content))
            if split == "train":
                (folder / name / "teacher_train.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> PicturePack:
    pack_pictures(write_sets(tmp_path / "data"), tmp_path / "pack", long_side=130)
    return PicturePack(tmp_path / "pack")


def test_the_pack_holds_every_training_picture_reduced(pack: PicturePack) -> None:
    assert len(pack) == 12
    for picture in pack.pictures:
        assert (picture.height, picture.width) == (100, 130)
        assert picture.complete
        assert picture.boxes.tolist() == [[20, 15, 55, 75]]
        pixels = pack.pixels(picture)
        assert pixels.shape == (100, 130, 3)
        assert pixels[40, 40].tolist() == [255, 0, 0]
        assert pixels[40, 100].tolist() == [60, 60, 60]


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_lie_on_their_people(pack: PicturePack, mosaic: float) -> None:
    maker = CutMaker(pack, 128, mosaic=mosaic)
    random = np.random.default_rng(7)
    seen = 0
    for _ in range(60):
        cut = maker.make(random)
        assert cut.image.shape == (128, 128, 3)
        red = cut.image[:, :, 0].astype(int) - cut.image[:, :, 1] > 40
        covered = np.zeros_like(red)
        for x0, y0, x1, y1 in np.concatenate([cut.boxes, cut.unsure]):
            assert 0 <= x0 < x1 <= 128
            assert 0 <= y0 < y1 <= 128
            covered[max(int(y0) - 2, 0) : int(y1) + 2, max(int(x0) - 2, 0) : int(x1) + 2] = True
        # Greyed pictures have no red at all; in the others every red pixel belongs to a known box.
        assert not (red & ~covered).any()
        for x0, y0, x1, y1 in cut.boxes:
            if red.any() and x1 - x0 > 8 and y1 - y0 > 8:
                assert red[int(y0) + 3 : int(y1) - 3, int(x0) + 3 : int(x1) - 3].mean() > 0.9
                seen += 1
    assert seen > 40


def test_incomplete_pictures_claim_nothing_about_empty_places(tmp_path: Path) -> None:
    pack_pictures(write_sets(tmp_path / "data", complete=False), tmp_path / "pack")
    maker = CutMaker(PicturePack(tmp_path / "pack"), 96, mosaic=0.5)
    random = np.random.default_rng(1)
    assert all(len(maker.make(random).known) == 0 for _ in range(10))


def test_the_stream_is_reproducible_and_goes_on_where_it_was(pack: PicturePack, tmp_path: Path) -> None:
    def stream(first: int) -> CutStream:
        return CutStream(tmp_path / "pack", size=64, batch=2, mosaic=0.5, gentle=False, seed=3, first=first)

    whole = iter(stream(0))
    batches = [next(whole) for _ in range(3)]
    later = next(iter(stream(2)))
    assert batches[0].images.shape == (2, 3, 64, 64)
    assert np.array_equal(batches[2].images, later.images)
    assert np.array_equal(batches[2].boxes, later.boxes)
    assert not np.array_equal(batches[0].images, batches[1].images)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    data = write_sets(tmp_path / "data")
    next((data / "voc" / "images").iterdir()).write_bytes(b"no picture")
    with pytest.raises(FormatError, match="voc"):
        pack_pictures(data, tmp_path / "pack")
    assert not (tmp_path / "pack" / "pictures.bin").exists()


def test_a_missing_annotation_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"train\.json cannot be read"):
        pack_pictures(tmp_path, tmp_path / "pack")


def test_large_pictures_show_larger_people_than_calm_ones(pack: PicturePack) -> None:
    def mean_side(**how: bool) -> float:
        maker, random = CutMaker(pack, 128, mosaic=0.0, **how), np.random.default_rng(8)
        boxes = np.concatenate([maker.make(random).boxes for _ in range(80)])
        return float(np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)).mean())

    assert mean_side(large=True) > 1.15 * mean_side()
    assert mean_side(gentle=True, large=True) > 1.05 * mean_side(gentle=True)
