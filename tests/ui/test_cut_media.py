"""A media that was cut or scaled since it was corrected: the window says so and takes the corrections over if asked."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

FRAMES = 30


def scene(first=0, last=FRAMES):
    rng = np.random.default_rng(5)
    wide = cv2.resize(rng.integers(0, 255, (16, 60, 3), dtype=np.uint8), (1200, 300), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(wide[3 * f : 3 * f + 120, 24 * f : 24 * f + 160]) for f in range(first, last)]


def write(path, frames):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for pixels in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


@pytest.fixture
def said(bare_window):
    heard = []
    bare_window.desk.message.connect(heard.append)
    return heard


@pytest.fixture
def corrected(bare_window, tmp_path, qtbot):
    """The window with a clip whose frames 6, 10, 14 and 22 hold a person added by hand."""
    from poseviewer.project import edits

    desk = bare_window.desk
    desk.open_paths([write(tmp_path / "walk.mp4", scene())])
    qtbot.waitUntil(lambda: desk.editable and desk.frame_exact, timeout=20_000)
    for frame in (6, 10, 14, 22):
        desk.select(frame=frame)
        qtbot.waitUntil(lambda: desk.frame_exact, timeout=10_000)
        points = np.stack([np.linspace(20, 90, 17), np.linspace(10, 100, 17)], axis=1) + frame
        assert desk.apply(edits.AddPerson(desk.media_id, frame, points.tolist()))
    desk.close_media()
    return desk


def test_a_media_that_lost_its_beginning_gets_its_corrections_back(corrected, said, tmp_path, qtbot):
    desk = corrected
    write(tmp_path / "walk.mp4", scene(4))
    desk.open_paths([tmp_path / "walk.poseproj"])
    qtbot.waitUntil(lambda: any("begins 4 frames later" in message.sentence for message in said), timeout=20_000)
    assert desk.info is None, "nothing is shown over frames that are not the corrected ones"
    ((text, take),) = said[-1].actions
    assert text == "Take them over"
    take()
    qtbot.waitUntil(lambda: desk.info is not None and desk.frame_exact and desk.editable, timeout=20_000)
    assert desk.project.corrected_frames(desk.media_id) == (2, 6, 10, 18)
    assert desk.project.corrected_frames(1) == (6, 10, 14, 22)
    assert any("4 frames were taken over" in message.sentence for message in said)


def test_opening_the_cut_file_itself_asks_as_well(corrected, said, tmp_path, qtbot):
    desk = corrected
    write(tmp_path / "walk.mp4", scene(4, 20))
    desk.open_paths([tmp_path / "walk.mp4"])
    qtbot.waitUntil(lambda: any("begins 4 frames later" in message.sentence for message in said), timeout=20_000)
    assert desk.info is not None
    assert desk.people == ()
    shown = desk.media_id
    said[-1].actions[0][1]()
    qtbot.waitUntil(lambda: any("taken over" in message.sentence for message in said), timeout=20_000)
    assert desk.media_id == shown
    assert desk.project.corrected_frames(shown) == (2, 6, 10)
    assert "One frame is not in this file" in said[-1].remedy


def test_another_film_at_the_place_is_only_told_as_such(corrected, said, tmp_path, qtbot):
    desk = corrected
    rng = np.random.default_rng(9)
    noise = [cv2.resize(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8), (160, 120)) for _ in range(30)]
    write(tmp_path / "walk.mp4", noise)
    desk.open_paths([tmp_path / "walk.poseproj"])
    qtbot.waitUntil(lambda: any("other pictures" in message.sentence for message in said), timeout=20_000)
    qtbot.waitUntil(lambda: not desk._opener._work, timeout=20_000)
    assert not any("shows the same" in message.sentence for message in said)
