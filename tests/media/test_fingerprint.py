"""Fingerprints of frames survive re-encoding and tell different pictures apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from barcode_clips import Clips
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.media import fingerprint_distance, frame_fingerprint, open_media
from poseviewer.media.pictures import read_picture


def test_form_and_distance() -> None:
    generator = np.random.default_rng(0)
    value = frame_fingerprint(generator.integers(0, 256, (96, 160, 3), dtype=np.uint8))
    assert len(value) == 16
    assert int(value, 16) >= 0
    assert fingerprint_distance(value, value) == 0
    assert fingerprint_distance("0" * 16, "f" * 16) == 64


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_distance_is_a_metric(a: int, b: int, c: int) -> None:
    first, second, third = (f"{value:016x}" for value in (a, b, c))
    assert fingerprint_distance(first, second) == fingerprint_distance(second, first)
    assert (fingerprint_distance(first, second) == 0) == (a == b)
    assert fingerprint_distance(first, third) <= fingerprint_distance(first, second) + fingerprint_distance(
        second, third
    )


def test_robust_to_reencoding_scaling_and_brightness(people_picture: Path) -> None:
    picture = read_picture(people_picture)
    original = frame_fingerprint(picture)
    _, poor = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 12])
    changed = [
        cv2.imdecode(poor, cv2.IMREAD_COLOR),
        cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        cv2.resize(picture, None, fx=1.37, fy=1.37, interpolation=cv2.INTER_CUBIC),
        np.clip(picture.astype(np.int16) + 12, 0, 255).astype(np.uint8),
        cv2.GaussianBlur(picture, (0, 0), 1.5),
    ]
    assert max(fingerprint_distance(original, frame_fingerprint(other)) for other in changed) <= 6


def test_different_pictures_differ(people_picture: Path, shared_data: Path) -> None:
    pictures = [read_picture(people_picture), read_picture(people_picture.with_name("zidane.jpg"))]
    for clip in sorted((shared_data / "videos").glob("*.mp4")):
        if "derived" in clip.name:  # shows another clip's scene
            continue
        with open_media(clip) as media:
            pictures.append(media.frame(media.info.frame_count // 2).pixels)
    values = [frame_fingerprint(picture) for picture in pictures]
    distances = [fingerprint_distance(one, other) for row, one in enumerate(values) for other in values[row + 1 :]]
    assert min(distances) >= 12


def test_flat_and_tiny_frames_have_one() -> None:
    assert frame_fingerprint(np.zeros((96, 160, 3), dtype=np.uint8)) == "0" * 16
    assert len(frame_fingerprint(np.full((3, 2, 3), 200, dtype=np.uint8))) == 16


def test_file_fingerprint_is_of_the_content(clips: Clips, tmp_path: Path) -> None:
    original = clips.path("gop12.mp4")
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(original.read_bytes())
    one, two = open_media(original).info.fingerprint, open_media(copy).info.fingerprint
    assert one == two
    data = bytearray(original.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(bytes(data))
    assert open_media(copy).info.fingerprint != one
