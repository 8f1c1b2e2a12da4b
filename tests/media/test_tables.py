"""The frame table is confirmed once and remembered; a broken or foreign cache costs time, never truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from barcode_clips import Clips, read
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.media import open_media, tables
from poseviewer.media.index import NO_STAMP, FrameTable, PacketIndex, display_times

Lister = Callable[[], list[Path]]


def test_second_opening_is_confirmed(clips: Clips, own_cache: Lister) -> None:
    path = clips.path("h264_b.avi")
    with open_media(path) as media:
        assert not media.info.confirmed
        settled = media.confirm()
        times = media.timestamps
    assert len(own_cache()) == 1
    with open_media(path) as media:
        assert media.info == settled
        np.testing.assert_array_equal(media.timestamps, times)
        assert read(media.frame(133).pixels) == 133


def test_changed_file_is_not_found_in_the_cache(clips: Clips, own_cache: Lister, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.path("gop12.mp4").read_bytes())
    with open_media(path) as media:
        media.confirm()
    os.utime(path, ns=(1, 1))
    with open_media(path) as media:
        assert not media.info.confirmed


@pytest.mark.parametrize("damage", [b"", b"not a table", b"PK\x03\x04 cut"])
def test_damaged_cache_is_made_anew(clips: Clips, own_cache: Lister, damage: bytes) -> None:
    path = clips.path("gop12.mp4")
    with open_media(path) as media:
        media.confirm()
    (table,) = own_cache()
    table.write_bytes(damage)
    with open_media(path) as media:
        assert not media.info.confirmed
        assert media.confirm().frame_count == 200
        assert read(media.frame(42).pixels) == 42


def test_read_only_cache_is_no_obstacle(clips: Clips, monkeypatch: pytest.MonkeyPatch, own_cache: Lister) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "write_bytes", refuse)
    with open_media(clips.path("gop12.mp4")) as media:
        assert media.confirm().confirmed
    assert own_cache() == []


def test_confirming_tells_progress_and_can_be_cancelled(clips: Clips, own_cache: Lister) -> None:
    told: list[tuple[int, int]] = []
    with open_media(clips.path("gop250.mp4")) as media:
        asked = iter(range(1000))
        info = media.confirm(lambda done, total: told.append((done, total)), lambda: next(asked) > 20)
        assert not info.confirmed
        assert own_cache() == []
        info = media.confirm(lambda done, total: told.append((done, total)))
        assert info.confirmed
    assert told[-1] == (300, 300)


def test_confirming_on_one_decoder_serves_the_others(clips: Clips, own_cache: Lister) -> None:
    truth = clips.truth("damaged.mp4")
    with open_media(clips.path("damaged.mp4")) as media, media.reopen() as other:
        version = media.table_version
        assert other.confirm().confirmed
        assert media.info.confirmed
        assert media.info.frame_count == len(truth)
        assert media.table_version > version


def test_index_without_pickles(own_cache: Lister) -> None:
    row = np.arange(3, dtype=np.int64)
    flags = np.ones(3, dtype=bool)
    index = PacketIndex(row, row, row, row + 1, row, flags, ~flags, ~flags, Fraction(1, 25))
    tables.store("key", index, FrameTable(row, row / 25, ~flags, confirmed=True))
    held = tables.load("key")
    assert held is not None
    np.testing.assert_array_equal(held[0].size, index.size)
    assert held[0].time_base == Fraction(1, 25)
    (path,) = own_cache()
    np.savez(path, stamps=np.array([{"not": "numbers"}], dtype=object))
    assert tables.load("key") is None


# --- times ---


def test_missing_and_backward_stamps() -> None:
    tick = Fraction(1, 10)
    assert display_times([None] * 4, tick, 5.0).tolist() == [0.0, 0.2, 0.4, 0.6]
    stamps: list[int | None] = [*range(100, 120), None, *range(121, 130)]
    np.testing.assert_allclose(display_times(stamps, tick, 5.0), np.arange(30) / 10)
    restarted: list[int | None] = [*range(100, 120), *range(5, 25)]
    np.testing.assert_allclose(display_times(restarted, tick, 5.0), np.arange(40) / 10)
    np.testing.assert_allclose(display_times([7], tick, 5.0), [0.0])


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1, max_size=60),
    st.sampled_from([0.0, 23.976, 50.0]),
)
def test_times_start_at_zero_and_never_decrease(stamps: list[int | None], rate: float) -> None:
    times = display_times(stamps, Fraction(1, 90_000), rate)
    assert times.shape == (len(stamps),)
    assert times[0] == 0
    assert np.isfinite(times).all()
    assert (np.diff(times) >= 0).all()


@settings(deadline=None)
@given(st.data())
def test_start_key_is_earlier_in_file_and_on_screen(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    pts = data.draw(st.lists(st.one_of(st.just(NO_STAMP), st.integers(0, 60)), min_size=count, max_size=count))
    key = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    zeros = np.zeros(count, dtype=np.int64)
    never = np.zeros(count, dtype=bool)
    index = PacketIndex(
        np.array(pts, dtype=np.int64), zeros, zeros, zeros, zeros, np.array(key), never, never, Fraction(1, 25)
    )
    for ordinal in range(count):
        start = index.start_key(ordinal)
        keys = [k for k in range(ordinal + 1) if key[k]]
        assert start in (keys or [0])
        if start != (keys or [0])[0] and NO_STAMP not in (pts[start], pts[ordinal]):
            assert pts[start] <= pts[ordinal]
        for later in (k for k in keys if k > start):
            # A later key packet is passed over only because it is shown after the frame.
            assert pts[later] > pts[ordinal]
