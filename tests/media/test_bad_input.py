"""Each thing that is wrong with a file is one sentence naming the file and the cause."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from barcode_clips import Clips, Recipe, cut, encode, read

from poseviewer.core.errors import KnownError, MediaError
from poseviewer.media import open_media, probe

Lister = Callable[[], list[Path]]


def refusal(path: Path | str) -> str:
    """Return the sentence with which ``path`` is refused."""
    with pytest.raises(MediaError) as caught:
        open_media(path)
    error = caught.value
    assert isinstance(error, KnownError)
    assert error.file is not None
    assert "\n" not in str(error)
    assert error.sentence.endswith(".")
    return error.sentence


def test_missing_file(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "gone.mp4")
    assert "gone.mp4" in sentence
    assert "no file" in sentence


def test_zero_bytes(tmp_path: Path) -> None:
    for name in ("empty.mp4", "empty.jpg"):
        path = tmp_path / name
        path.touch()
        sentence = refusal(path)
        assert name in sentence
        assert "0 bytes" in sentence


def test_text_file_called_mp4(tmp_path: Path) -> None:
    for content in ("Dear diary, today I filmed nothing.\n", "Überraschung, kein Video. " * 500):
        path = tmp_path / "diary.mp4"
        path.write_text(content, encoding="utf-8")
        sentence = refusal(path)
        assert "diary.mp4" in sentence
        assert "text file" in sentence


def test_random_bytes_called_mp4(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(20_000))
    assert "noise.mp4" in refusal(path)


def test_mp4_without_its_index(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    encode(path, Recipe(count=60))
    cut(path, 0.0, 0.6)
    sentence = refusal(path)
    assert "cut.mp4" in sentence
    assert "cut off" in sentence


def test_cut_before_the_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "head.mkv"
    encode(path, Recipe(count=60))
    path.write_bytes(path.read_bytes()[:540])
    assert "head.mkv" in refusal(path)


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sentence = refusal(path)
    assert "song.mp4" in sentence
    assert "sound" in sentence


def test_unknown_kind(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 40)
    assert "archive.zip" in refusal(path)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe.mp4" in refusal(tmp_path / "pipe.mp4")


def test_heic_is_named(tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    assert "HEIC" in refusal(path)


def test_playlists_are_refused(tmp_path: Path, clips: Clips) -> None:
    inner = clips.path("closed.ts")
    lists = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{inner}\n#EXT-X-ENDLIST\n",
        "list.mp4": f"ffconcat version 1.0\nfile {inner}\n",
    }
    for name, text in lists.items():
        path = tmp_path / name
        path.write_text(text)
        assert name in refusal(path)


def test_names_that_are_no_text(tmp_path: Path, clips: Clips) -> None:
    odd = os.fsencode(tmp_path) + b"/cl\xff.mp4"
    try:
        shutil.copy(clips.path("closed.ts"), odd)
    except OSError:
        pytest.skip("this disk takes only UTF-8 names")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "a.png"), np.zeros((4, 4, 3), np.uint8))
    os.rename(os.fsencode(pictures / "a.png"), os.fsencode(pictures) + b"/\xfe.png")
    for path in (os.fsdecode(odd), pictures, str(pictures / "*.png")):
        assert "is not UTF-8 text" in refusal(path)


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    sentence = refusal(tmp_path)
    assert str(tmp_path) in sentence
    assert "no pictures" in sentence


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    if os.geteuid() == 0:
        # The administrator may read everything, so the refusal is played.
        def refuse(path: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "scandir", refuse)
    else:
        folder.chmod(0)
    sentence = refusal(folder)
    assert "private" in sentence
    assert "not read" in sentence


def test_file_without_permission(clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(clips.path("gop12.mp4").read_bytes())
    if os.geteuid() == 0:

        def refuse(self: Path, *_: object) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.chmod(0)
    assert "secret.mp4" in refusal(path)


def test_glob_without_matches(tmp_path: Path) -> None:
    assert "*.png" in refusal(tmp_path / "*.png")


def test_nul_in_the_name() -> None:
    refusal("bad\0name.mp4")


def test_frame_out_of_range(clips: Clips) -> None:
    with open_media(clips.path("gop12.mp4")) as media:
        for index in (-1, 200, 10**9):
            with pytest.raises(MediaError, match=r"gop12\.mp4"):
                media.frame(index)
        assert read(media.frame(199).pixels) == 199


def test_file_that_vanishes_while_open(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "moved.mp4"
    path.write_bytes(clips.path("gop12.mp4").read_bytes())
    with open_media(path) as media:
        media.frame(3)
        media.close()
        path.rename(tmp_path / "elsewhere.mp4")
        with pytest.raises(MediaError, match=r"moved\.mp4"):
            media.frame(100)
        with pytest.raises(MediaError, match=r"moved\.mp4"):
            media.confirm()


def test_file_that_is_replaced_while_open(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "swapped.mp4"
    path.write_bytes(clips.path("gop12.mp4").read_bytes())
    with open_media(path) as media:
        media.confirm()
        path.write_bytes(clips.path("gop250.mp4").read_bytes())
        media.close()
        # Another film's picture must not be handed out under this one's number.
        with pytest.raises(MediaError, match=r"swapped\.mp4 was changed"):
            media.frame(150)


def test_file_that_is_replaced_before_it_is_confirmed(clips: Clips, tmp_path: Path, own_cache: Lister) -> None:
    path = tmp_path / "swapped.mp4"
    path.write_bytes(clips.path("gop12.mp4").read_bytes())
    with open_media(path) as media:
        path.write_bytes(clips.path("gop250.mp4").read_bytes())
        with pytest.raises(MediaError, match=r"swapped\.mp4 was changed"):
            media.confirm()
    assert own_cache() == []


def test_recording_that_grows_keeps_what_was_opened(clips: Clips, tmp_path: Path, own_cache: Lister) -> None:
    whole = clips.path("closed.ts").read_bytes()
    path = tmp_path / "growing.ts"
    path.write_bytes(whole[: len(whole) // 2 // 188 * 188])
    with open_media(path) as media:
        promised = media.info.frame_count
        path.write_bytes(whole)
        info = media.confirm()
        assert promised - 1 <= info.frame_count <= promised
        assert [read(media.frame(index).pixels) for index in (0, 70, 30)] == [0, 70, 30]


def test_text_endings_that_ffmpeg_would_draw_as_video(tmp_path: Path) -> None:
    for name in ("notes.txt", "read.nfo", "art.ans", "subtitles.srt", "list.m3u8", "data.json"):
        path = tmp_path / name
        path.write_text(
            "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n" if name.endswith("m3u8") else "1\nhello\n" * 50
        )
        assert name in refusal(path)


def test_noise_in_every_part_of_a_video_never_ends_in_a_traceback(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    for name in ("a.mp4", "b.mkv", "c.ts", "d.avi"):
        path = tmp_path / name
        encode(path, Recipe(count=50, gop=12))
        good = path.read_bytes()
        for _ in range(12):
            bad = bytearray(good)
            for at in generator.integers(0, len(bad), 25):
                bad[at] = generator.integers(256)
            path.write_bytes(bytes(bad))
            try:
                info = probe(path)
                with open_media(path) as media:
                    for index in generator.integers(0, info.frame_count, 6):
                        media.frame(int(index))
            except MediaError as error:
                assert name in str(error)  # noqa: PT017 - it may also pass
