"""Exactness, proved: every frame that a seek gives is the one that a front-to-back decode gives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from barcode_clips import DAMAGED, HEIGHT, RATE, RECIPES, UNREADABLE, WIDTH, Clips, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseviewer.core.values import MediaInfo
from poseviewer.media import open_media, probe
from poseviewer.media.decoder import read_packets
from poseviewer.media.video import Video

SEEKS = 200
SMALL_RING = 5 * WIDTH * HEIGHT * 3 // 2
"""Five frames, so that the ring answers few seeks and the decoder most."""
LOST_AT_FIRST = {"damaged.mp4", "truncated.mp4"}
"""Clips whose packets promise frames that no decoder delivers."""


def codes(info: MediaInfo) -> set[str]:
    return {finding.code for finding in info.findings}


def opened(path: Path) -> Video:
    media = open_media(path)
    if not isinstance(media, Video):
        pytest.fail(f"{path.name} was not opened as a video")
    media.decoder.ring_bytes = SMALL_RING
    return media


@pytest.mark.parametrize("name", RECIPES)
def test_random_seeks_give_the_frames_of_a_plain_decode(clips: Clips, name: str) -> None:
    shown = clips.shown(name)
    numbers = random.Random(name)
    wrong, corrupt = [], 0
    with opened(clips.path(name)) as media:
        info = media.confirm()
        assert info.confirmed
        assert info.frame_count == len(shown) == len(media.timestamps)
        for index in numbers.choices(range(len(shown)), k=SEEKS):
            frame = media.frame(index)
            assert frame.index == index
            assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
            corrupt += frame.corrupt
            number, pixels = shown[index]
            same = read(frame.pixels) == number and hash(frame.pixels.tobytes()) == pixels
            # What a decoder puts in place of damaged parts depends on what it decoded before.
            if not same and not (name in DAMAGED and frame.corrupt):
                wrong.append((index, read(frame.pixels), number))
    assert wrong == []
    # The excuse of damage must not swallow the test.
    assert corrupt <= SEEKS * 0.2 * (name in DAMAGED or name == "joined.ts")


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith(("damaged", "truncated"))])
def test_truth_itself_counts_upward_without_a_gap(clips: Clips, name: str) -> None:
    truth = clips.truth(name)
    assert UNREADABLE not in truth
    assert truth == list(range(truth[0], truth[0] + len(truth)))
    assert len(truth) > 100


@pytest.mark.parametrize("name", RECIPES)
def test_frames_are_right_before_the_table_is_confirmed(clips: Clips, name: str, own_cache: object) -> None:
    truth = clips.truth(name)
    with opened(clips.path(name)) as media:
        assert not media.info.confirmed
        if name not in LOST_AT_FIRST:
            assert media.info.frame_count == len(truth)
        for index in (70, 3, 71, 40, 0):
            assert read(media.frame(index).pixels) == truth[index]


@pytest.mark.parametrize("name", ["gop250.mp4", "open_gop.ts", "vfr.mkv", "h264_b.avi", "edit_list.mp4", "damaged.mp4"])
def test_ascending_frames_decode_every_packet_once(clips: Clips, name: str) -> None:
    truth = clips.truth(name)
    with opened(clips.path(name)) as media:
        info = media.confirm()
        seen = [(frame.corrupt, read(frame.pixels)) for frame in media.frames(range(info.frame_count))]
        landings = media.decoder.landings + media.decoder.restarts
    assert [number for corrupt, number in seen if not corrupt] == [
        number for (corrupt, _), number in zip(seen, truth, strict=True) if not corrupt
    ]
    assert landings <= (1 if name not in DAMAGED else 4)


def test_every_frame_that_damage_garbled_is_badged(clips: Clips) -> None:
    for name in ("damaged.mp4", "damaged.ts", "damaged.mkv"):
        truth = clips.truth(name)
        with opened(clips.path(name)) as media:
            info = media.confirm()
            badged = [frame.index for frame in media.frames(range(info.frame_count)) if frame.corrupt]
        garbled = [index for index, number in enumerate(truth) if number == UNREADABLE]
        assert set(garbled) <= set(badged)
        assert badged
        assert len(badged) < 0.3 * len(truth)
        assert "damaged" in codes(info)


@pytest.mark.parametrize("name", ["open_gop.ts", "open_gop.mp4", "hevc_open_gop.mp4", "hevc_open_gop.mkv", "mpeg2.ts"])
def test_leading_pictures_of_an_open_gop_start_one_gop_back(clips: Clips, name: str) -> None:
    with opened(clips.path(name)) as media:
        media.confirm()
        index, table = media._shared.index, media._shared.table
        last_key = index.keys[np.searchsorted(index.keys, table.ordinals, side="right") - 1]
        leading = np.flatnonzero(index.pts[table.ordinals] < index.pts[last_key])
        assert len(leading) >= 4
        for frame in leading.tolist():
            media.close()
            before = media.decoder.landings
            assert read(media.frame(frame).pixels) == clips.truth(name)[frame]
            assert media.decoder.landings == before + 1


@pytest.mark.parametrize(
    "name", ["gop12.mp4", "offset.mkv", "closed.ts", "vfr.mp4", "av1.mkv", "fragmented.mp4", "h264_b.avi"]
)
def test_a_seek_lands_at_once(clips: Clips, name: str) -> None:
    with opened(clips.path(name)) as media:
        media.confirm()
        for index in (190, 20, 130, 70):
            before = media.decoder.landings
            media.frame(index)
            assert media.decoder.landings == before + 1
        assert media.decoder.restarts == 0


def test_a_read_error_does_not_end_the_video(clips: Clips) -> None:
    class Stumbling:
        """A container that fails once in the middle."""

        name = "stumbling"

        def __init__(self, container: av.container.InputContainer) -> None:
            self.container, self.read = container, 0

        def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
            for packet in self.container.demux(stream):
                self.read += 1
                if self.read == 100:
                    raise av.error.InvalidDataError(1, "damaged")
                yield packet

    with av.open(str(clips.path("gop12.mp4"))) as container:
        stream = container.streams.video[0]
        packets = list(read_packets(Stumbling(container), stream))  # type: ignore[arg-type]
    assert len(packets) == 199


def test_stepping_back_within_a_gop_decodes_nothing_again(clips: Clips) -> None:
    with open_media(clips.path("gop250.mp4")) as media:
        assert isinstance(media, Video)
        media.frame(120)
        before = media.decoder.landings
        for index in range(119, 60, -1):
            assert read(media.frame(index).pixels) == index
        assert media.decoder.landings == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["gop12.mp4", "open_gop.ts", "hevc_open_gop.mkv", "mpeg4_b.avi", "joined.ts", "raw.h264"]),
    order=st.lists(st.integers(0, 199), min_size=1, max_size=12),
    ring=st.sampled_from([1, SMALL_RING, 1 << 27]),
)
def test_any_order_of_requests_gives_the_right_frames(clips: Clips, name: str, order: list[int], ring: int) -> None:
    truth = clips.truth(name)
    with opened(clips.path(name)) as media:
        media.decoder.ring_bytes = ring
        assert [read(frame.pixels) for frame in media.frames(order)] == [truth[index] for index in order]


def test_decoders_of_one_index_do_not_disturb_each_other(clips: Clips) -> None:
    # PyAV finds opaque values by id(): shared small integers would vanish from the other decoder's frames.
    with opened(clips.path("gop250.mp4")) as first, opened(clips.path("gop250.mp4")) as second:
        third = first.reopen()
        assert isinstance(third, Video)
        for start in range(0, 60, 6):
            # Each in turn runs ahead and lets go of frames that the others still have before them.
            for media in (first, second, third):
                for index in range(start, start + 6):
                    assert read(media.frame(index).pixels) == index
        assert [media.decoder.landings for media in (first, second, third)] == [1, 1, 1]
        third.close()


# --- times and facts ---


@pytest.mark.parametrize(
    "name", ["gop12.mp4", "offset.mp4", "offset.mkv", "offset.ts", "h264_b.avi", "raw.h264", "joined.ts"]
)
def test_even_clips_have_even_times_from_zero(clips: Clips, name: str) -> None:
    with open_media(clips.path(name)) as media:
        info = media.confirm()
        np.testing.assert_allclose(media.timestamps, np.arange(info.frame_count) / RATE, atol=0.0011)
        assert info.fps == pytest.approx(RATE)
        assert info.duration_s == pytest.approx(info.frame_count / RATE, abs=0.002)
        assert media.frame(50).timestamp_s == pytest.approx(2.0, abs=0.0011)


def test_variable_rate_keeps_its_stamps(clips: Clips) -> None:
    uneven = RECIPES["vfr.mp4"].pts
    assert uneven is not None
    for name in ("vfr.mp4", "vfr.mkv"):
        with open_media(clips.path(name)) as media:
            info = media.confirm()
            wanted = [uneven(number) / 1000 for number in range(info.frame_count)]
            np.testing.assert_allclose(media.timestamps, wanted, atol=0.0011)
            assert "vfr" in codes(info)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gop12.mp4", set()),
        ("offset.mp4", {"start_offset"}),
        ("offset.mkv", {"start_offset"}),
        ("duplicate_pts.mkv", {"duplicate_pts", "vfr"}),
        ("edit_list.mp4", {"edit_list"}),
        ("rotated.mp4", {"rotated"}),
        ("h264_b.avi", {"no_timestamps"}),
        ("raw.h264", {"no_timestamps"}),
        ("truncated.mp4", {"damaged", "truncated", "gap"}),
        ("truncated.mkv", {"truncated"}),
        ("damaged.mp4", {"damaged", "gap"}),
    ],
)
def test_findings(clips: Clips, name: str, expected: set[str]) -> None:
    assert codes(probe(clips.path(name))) - {"untagged_colour"} == expected


def test_edit_list_hides_the_pre_roll(clips: Clips) -> None:
    with open_media(clips.path("edit_list.mp4")) as media:
        assert media.info.frame_count == RECIPES["edit_list.mp4"].count - 25
        assert read(media.frame(0).pixels) == 25
        assert media.frame(0).timestamp_s == 0


def test_rotation_is_applied_and_stated(clips: Clips) -> None:
    for name, degrees in (("rotated.mp4", -90), ("upside_down.mp4", 180), ("gop12.mp4", 0)):
        with open_media(clips.path(name)) as media:
            assert (media.info.rotation, media.info.size_wh) == (degrees, (WIDTH, HEIGHT))
            assert read(media.frame(77).pixels) == 77


# --- real clips ---


def plain_decode(path: Path) -> list[int]:
    """Return hashes of the upright frames of a front-to-back decode."""
    hashes = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.height >= 720:
                frame.colorspace = 1  # untagged and large: BT.709, as the package has it
            upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
            hashes.append(hash(upright.tobytes()))
    return hashes


def test_real_clips(shared_data: Path) -> None:
    videos = json.loads((shared_data / "videos" / "videos.json").read_text())
    for video in videos:
        with open_media(shared_data / "videos" / video["file"]) as media:
            info = media.confirm()
            assert info.frame_count == video["frames"]
            assert info.rotation == video["rotation"]
            assert info.fps == pytest.approx(
                float(np.divide(*map(float, (video["average_rate"] + "/1").split("/")[:2])))
            )
            turned = (video["height"], video["width"]) if video["rotation"] else (video["width"], video["height"])
            assert info.size_wh == turned
            wanted = plain_decode(Path(info.path))
            assert isinstance(media, Video)
            media.decoder.ring_bytes = 1
            for index in random.Random(video["file"]).choices(range(info.frame_count), k=25):
                assert hash(media.frame(index).pixels.tobytes()) == wanted[index]
            assert info.duration_s == pytest.approx(video["duration"], abs=0.05)
