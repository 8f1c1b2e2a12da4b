"""Pictures, folders of them, and globs."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseviewer.core.errors import MediaError
from poseviewer.media import frame_fingerprint, open_media, probe


def draw(width: int = 40, height: int = 30, level: int = 0) -> np.ndarray:
    """Return RGB with a red left half, a blue right half and a bright upper edge."""
    picture = np.full((height, width, 3), level, dtype=np.uint8)
    picture[:, : width // 2, 0] = 220
    picture[:, width // 2 :, 2] = 220
    picture[: height // 4, :, 1] = 200
    return picture


def write(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture[:, :, ::-1])
    return path


def with_orientation(path: Path, orientation: int) -> None:
    """Give a JPEG an EXIF orientation."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 1) + entry + bytes(4)
    body = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])


def test_one_picture_is_rgb(tmp_path: Path) -> None:
    path = write(tmp_path / "one.png", draw())
    with open_media(path) as media:
        info = media.info
        assert (info.kind, info.frame_count, info.size_wh, info.confirmed) == ("picture", 1, (40, 30), True)
        assert (info.fps, info.duration_s, info.codec) == (0, 0, "")
        frame = media.frame(0)
        np.testing.assert_array_equal(frame.pixels, draw())
        assert frame.pixels.flags.c_contiguous
        assert frame.name == "one.png"
        assert media.timestamps.tolist() == [0.0]


def test_sixteen_bit_grey_and_transparent_pictures_become_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 9), 40_000, dtype=np.uint16))
    cv2.imwrite(str(tmp_path / "clear.png"), np.full((8, 9, 4), 77, dtype=np.uint8))
    for name, level in (("deep.png", 40_000 // 257), ("clear.png", 77)):
        pixels = open_media(tmp_path / name).frame(0).pixels
        assert (pixels.shape, pixels.dtype) == ((8, 9, 3), np.uint8)
        assert abs(int(pixels.mean()) - level) <= 1


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, turn: int) -> None:
    path = write(tmp_path / "phone.jpg", draw())
    plain = open_media(path).frame(0).pixels
    with_orientation(path, orientation)
    media = open_media(path)
    np.testing.assert_array_equal(media.frame(0).pixels, np.rot90(plain, turn))
    assert media.info.size_wh == ((30, 40) if turn % 2 else (40, 30))


def test_folder_is_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1, 33, 4):
        write(tmp_path / f"img{number}.png", draw(level=number))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "img0.png", draw())
    with open_media(tmp_path) as media:
        assert media.info.kind == "folder"
        assert [frame.name for frame in media.frames(range(5))] == [f"img{n}.png" for n in (1, 2, 4, 10, 33)]
        assert [int(frame.pixels[-1, 0, 1]) for frame in media.frames(range(5))] == [1, 2, 4, 10, 33]
        assert media.confirm() == media.info


def test_glob_takes_what_matches(tmp_path: Path) -> None:
    for name in ("a1.png", "a10.png", "a2.png", "b1.png"):
        write(tmp_path / name, draw())
    media = open_media(f"{tmp_path}/a*.png")
    assert [frame.name for frame in media.frames(range(3))] == ["a1.png", "a2.png", "a10.png"]
    assert media.info.frame_count == 3


def test_file_with_glob_characters_in_its_name_opens(tmp_path: Path) -> None:
    path = write(tmp_path / "take[1].png", draw())
    assert open_media(path).info.kind == "picture"


def test_picture_with_another_ending_is_still_one(tmp_path: Path) -> None:
    for name in ("photo.mp4", "photo"):
        path = tmp_path / name
        path.write_bytes(write(tmp_path / "photo.jpg", draw()).read_bytes())
        assert open_media(path).info.kind == "picture"


def test_broken_picture_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "1.png", draw())
    (tmp_path / "0.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing else")
    (tmp_path / "2.png").write_bytes(b"not a picture")
    (tmp_path / "3.png").touch()
    write(tmp_path / "4.png", draw())
    media = open_media(tmp_path)
    assert media.info.frame_count == 5
    assert media.info.size_wh == (40, 30)
    for index, name in ((0, "0.jpg"), (2, "2.png"), (3, "3.png")):
        with pytest.raises(MediaError, match=name):
            media.frame(index)
    assert media.frame(1).name == "1.png"
    assert media.frame(4).name == "4.png"
    assert "damaged" in {finding.code for finding in probe(tmp_path).findings}


def test_cut_jpeg_is_badged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = write(tmp_path / "1.jpg", noise).read_bytes()
    (tmp_path / "2.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "3.jpg").write_bytes(data + b"a trailer of some camera")
    assert [frame.corrupt for frame in open_media(tmp_path).frames(range(3))] == [False, True, False]


def test_folder_of_broken_pictures_is_refused(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(MediaError, match="None of the 2 pictures"):
        open_media(tmp_path)


def test_sizes_may_differ_within_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "1.png", draw(40, 30))
    write(tmp_path / "2.png", draw(64, 20))
    media = open_media(tmp_path)
    assert media.info.size_wh == (40, 30)
    assert media.frame(1).pixels.shape == (20, 64, 3)


def test_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    for folder in ("here", "there", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "1.png", draw(level=30 * (folder == "other")))
    here, there, other = (open_media(tmp_path / name).info.fingerprint for name in ("here", "there", "other"))
    assert here == there != other


def test_people_picture(people_picture: Path) -> None:
    media = open_media(people_picture)
    assert media.info.size_wh == (810, 1080)
    assert len(frame_fingerprint(media.frame(0).pixels)) == 16
