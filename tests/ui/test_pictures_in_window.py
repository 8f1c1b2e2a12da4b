"""Folders of pictures in the window: damage is told, and they play at a rate that a person may choose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from poseviewer.core.values import PICTURE_RATE
from poseviewer.ui import settings
from poseviewer.ui.playback import Playback
from poseviewer.ui.statusbar import media_words


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    rng = np.random.default_rng(1)
    for number in range(6):
        cv2.imwrite(str(made / f"{number}.jpg"), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    return made


def opened(window, folder, qtbot):
    window.desk.open_paths([folder])
    qtbot.waitUntil(lambda: window.desk.info is not None and window.desk.frame_exact, timeout=10_000)


def test_damaged_pictures_are_told_as_damaged_videos_are(bare_window, folder, qtbot):
    (folder / "2.jpg").write_bytes(b"no picture at all, only words")
    whole = (folder / "4.jpg").read_bytes()
    (folder / "4.jpg").write_bytes(whole[: len(whole) // 2])
    heard = []
    bare_window.desk.message.connect(heard.append)
    opened(bare_window, folder, qtbot)
    qtbot.waitUntil(lambda: any(message.key == "findings" for message in heard), timeout=10_000)
    (told,) = [message for message in heard if message.key == "findings"]
    assert told.level == "warning"
    assert "2.jpg cannot be decoded" in told.sentence
    assert "4.jpg ends before its picture does" in told.sentence
    assert "2.jpg cannot be decoded." in bare_window.status._media.toolTip()
    # The project keeps it, so that an export knows too.
    project = bare_window.desk.project
    assert {finding.code for finding in project.media_list()[0].info.findings} == {"damaged"}


def test_sound_pictures_are_not_talked_about(bare_window, folder, qtbot):
    heard = []
    bare_window.desk.message.connect(heard.append)
    with qtbot.waitSignal(bare_window.desk.media_changed, timeout=10_000):
        bare_window.desk.open_paths([folder])
    assert heard == []
    assert bare_window.desk.editable


def test_a_cut_video_is_told_too(bare_window, clip_file, tmp_path, qtbot):
    """Bytes in the middle of the clip are garbage, so that a decoder meets damage."""
    data = bytearray(clip_file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(range(250)) * 12
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(data))
    heard = []
    bare_window.desk.message.connect(heard.append)
    bare_window.desk.open_paths([broken])
    qtbot.waitUntil(lambda: bare_window.desk.editable, timeout=10_000)
    told = [message for message in heard if message.key == "findings"]
    assert told
    assert "damaged" in told[0].sentence
    # A second opening reads the table from the cache and says it again.
    heard.clear()
    bare_window.desk.close_media()
    bare_window.desk.open_paths([broken])
    qtbot.waitUntil(lambda: bare_window.desk.editable, timeout=10_000)
    assert [message.key for message in heard] == ["findings"]


def test_folders_play_at_the_chosen_rate_and_it_is_remembered(bare_window, folder, qtbot):
    desk = bare_window.desk
    opened(bare_window, folder, qtbot)
    transport = bare_window.timeline.transport
    assert transport.pictures.isVisible()
    assert transport.pictures.currentData() == PICTURE_RATE
    playback = Playback(desk)
    np.testing.assert_allclose(playback.times(), np.arange(6) / PICTURE_RATE)
    index = transport.pictures.findData(25.0)
    transport.pictures.setCurrentIndex(index)
    transport.pictures.activated.emit(index)
    np.testing.assert_allclose(playback.times(), np.arange(6) / 25)
    assert settings.value("picture_rate", PICTURE_RATE) == 25.0


def test_videos_keep_their_own_time(window, qtbot):
    assert not window.timeline.transport.pictures.isVisible()
    np.testing.assert_allclose(Playback(window.desk).times(), window.desk.timestamps)


def test_the_tooltip_says_what_is_known(window):
    words = media_words(window.desk.info)
    assert "320 × 240" in words
    assert "25 fps" in words
