"""The frame server: nothing is decoded on the caller's thread, the newest request wins, the cache keeps its budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from barcode_clips import HEIGHT, WIDTH, Clips, read
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Frame, MediaInfo
from poseviewer.media import FrameServer, Media, open_media
from poseviewer.media.server import FrameCache

FRAME_BYTES = WIDTH * HEIGHT * 3
Maker = Callable[..., FrameServer]


class Slow(Media):
    """A media whose decoding waits for the test, counting what was decoded where."""

    def __init__(self, count: int = 1000) -> None:
        self.gate = threading.Event()
        self.decoded: list[int] = []
        self.threads: set[int] = set()
        self.version = 0
        self.closed = False
        self._info = MediaInfo("slow", "video", count, (4, 4), 25.0, count / 25, "none", 0, "00")

    @property
    def info(self) -> MediaInfo:
        return self._info

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        return np.arange(self._info.frame_count) / 25

    @property
    def table_version(self) -> int:
        return self.version

    def frame(self, index: int) -> Frame:
        if not self.gate.wait(20):
            raise MediaError("the test never opened the gate")
        if index == 13:
            raise MediaError("Frame 13 of slow cannot be decoded.", file="slow")
        if index == 14:
            raise RuntimeError("a bug")
        self.decoded.append(index)
        self.threads.add(threading.get_ident())
        return Frame(index, index / 25, np.full((4, 4, 3), index % 256, dtype=np.uint8))

    def confirm(self, progress: object = None, cancelled: object = None) -> MediaInfo:
        return self._info

    def reopen(self) -> Media:
        return self

    def close(self) -> None:
        self.closed = True


class Ear:
    """Collects what a server hands over."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.errors: list[tuple[int, MediaError]] = []
        self.threads: set[int] = set()
        self._came = threading.Condition()

    def hear(self, frame: Frame) -> None:
        with self._came:
            self.frames.append(frame)
            self.threads.add(threading.get_ident())
            self._came.notify_all()

    def fail(self, index: int, error: MediaError) -> None:
        with self._came:
            self.errors.append((index, error))
            self._came.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        with self._came:
            assert self._came.wait_for(ready, timeout=20)

    def wait_frame(self, index: int) -> None:
        self.wait(lambda: any(frame.index == index for frame in self.frames))


def until(ready: Callable[[], bool]) -> None:
    """Wait until ``ready`` holds."""
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def serve() -> Iterator[Maker]:
    """Make servers that are closed after the test."""
    servers: list[FrameServer] = []

    def make(media: Media, ear: Ear, budget: int = 1 << 20) -> FrameServer:
        servers.append(FrameServer(media, budget_bytes=budget, on_frame=ear.hear, on_error=ear.fail))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def test_newest_request_wins(serve: Maker) -> None:
    media, ear = Slow(), Ear()
    server = serve(media, ear)
    server.request(500)
    until(lambda: server._wanted is None)  # the first one is being worked on
    for index in range(100, 200):
        server.request(index)
    media.gate.set()
    ear.wait_frame(199)
    assert [frame.index for frame in ear.frames] in ([500, 199], [199])
    assert not set(media.decoded) & set(range(100, 190))


def test_requests_never_wait_and_never_decode_here(serve: Maker) -> None:
    media, ear = Slow(), Ear()
    server = serve(media, ear)
    for index in range(50):
        # The gate is shut: a call that decoded here would hang.
        server.request(index)
        assert server.peek(index) is None
        assert server.nearest(index) is None
        assert server.cached_spans() == []
    media.gate.set()
    ear.wait_frame(49)
    assert threading.get_ident() not in media.threads | ear.threads


def test_nearest_and_peek(serve: Maker) -> None:
    media, ear = Slow(), Ear()
    media.gate.set()
    server = serve(media, ear)
    server.request(100)
    ear.wait_frame(100)
    server.request(300)
    ear.wait_frame(300)
    held = server.peek(300)
    assert held is not None
    assert held.index == 300
    near = server.nearest(700)
    assert near is not None
    assert 300 <= near.index <= 306
    far = server.nearest(0)
    assert far is not None
    assert 94 <= far.index <= 100


def test_budget_is_kept_around_the_cursor(clips: Clips, serve: Maker) -> None:
    ear = Ear()
    with open_media(clips.path("gop12.mp4")) as media:
        server = serve(media, ear, 20 * FRAME_BYTES)
        for index in range(120):
            server.request(index, direction=1)
            ear.wait_frame(index)
            assert server.cached_bytes <= 20 * FRAME_BYTES
        until(lambda: server.peek(131) is not None)
        assert server.cached_bytes <= 20 * FRAME_BYTES
        spans = server.cached_spans()
        assert all(100 <= first <= last <= 140 for first, last in spans)


def test_budget_smaller_than_a_frame_still_serves(clips: Clips, serve: Maker) -> None:
    ear = Ear()
    with open_media(clips.path("gop12.mp4")) as media:
        server = serve(media, ear, 1)
        for index in (5, 100, 6):
            server.request(index)
            ear.wait_frame(index)
        time.sleep(0.05)
        assert len(server.cached_spans()) <= 1


@pytest.mark.parametrize("direction", [1, -1])
def test_prefetch_runs_in_the_direction_of_travel(clips: Clips, serve: Maker, direction: int) -> None:
    ear = Ear()
    with open_media(clips.path("gop250.mp4")) as media:
        server = serve(media, ear, 60 * FRAME_BYTES)
        server.request(150, direction=direction)
        ear.wait_frame(150)
        until(lambda: server.peek(150 + 30 * direction) is not None)
        held = server.peek(150 + 30 * direction)
        assert held is not None
        assert read(held.pixels) == 150 + 30 * direction
        assert all(server.peek(150 + step * direction) is not None for step in range(30))
        assert server.peek(150 - 5 * direction) is None


def test_steps_without_a_stated_direction_are_understood(clips: Clips, serve: Maker) -> None:
    ear = Ear()
    with open_media(clips.path("gop250.mp4")) as media:
        server = serve(media, ear, 60 * FRAME_BYTES)
        for index in (150, 149, 148):
            server.request(index)
            ear.wait_frame(index)
        until(lambda: server.peek(120) is not None)


def test_every_requested_frame_is_right(clips: Clips, serve: Maker) -> None:
    ear = Ear()
    truth = clips.truth("open_gop.ts")
    with open_media(clips.path("open_gop.ts")) as media:
        server = serve(media, ear, 40 * FRAME_BYTES)
        for index in (3, 199, 100, 99, 98, 101, 0, 150, 151, 60):
            server.request(index)
            ear.wait_frame(index)
    assert [read(frame.pixels) for frame in ear.frames] == [truth[frame.index] for frame in ear.frames]


def test_errors_are_told_and_serving_goes_on(serve: Maker) -> None:
    media, ear = Slow(), Ear()
    media.gate.set()
    server = serve(media, ear)
    for count, index in enumerate((13, 14, 10_000), start=1):
        server.request(index)
        if index != 10_000:
            ear.wait(lambda wanted=count: len(ear.errors) == wanted)
    assert [index for index, _ in ear.errors[:2]] == [13, 14]
    assert all(isinstance(error, MediaError) for _, error in ear.errors)
    server.request(20)
    ear.wait_frame(20)


def test_listener_that_raises_does_not_end_the_server() -> None:
    media = Slow()
    media.gate.set()
    heard: list[int] = []

    def hear(frame: Frame) -> None:
        heard.append(frame.index)
        raise ValueError("a listener's bug")

    server = FrameServer(media, on_frame=hear)
    try:
        server.request(1)
        until(lambda: heard == [1])
        server.request(50)
        until(lambda: heard == [1, 50])
    finally:
        server.close()


def test_confirmed_table_empties_the_cache(serve: Maker) -> None:
    media, ear = Slow(), Ear()
    media.gate.set()
    server = serve(media, ear)
    server.request(40)
    ear.wait_frame(40)
    until(lambda: server.peek(46) is not None)
    media.version += 1
    assert server.peek(40) is None
    server.request(40)
    ear.wait(lambda: [frame.index for frame in ear.frames].count(40) == 2)


def test_close_is_final_and_quick(clips: Clips) -> None:
    ear = Ear()
    with open_media(clips.path("gop250.mp4")) as media:
        server = FrameServer(media, on_frame=ear.hear)
        server.request(299)
        server.close()
        heard = len(ear.frames)
        server.request(3)
        time.sleep(0.05)
        assert len(ear.frames) == heard
        assert server.cached_spans() == []
        server.close()
    slow = Slow()
    slow.gate.set()
    FrameServer(slow, on_frame=ear.hear).close()
    assert slow.closed


def test_pictures_are_served_too(tmp_path: Path, people_picture: Path, serve: Maker) -> None:
    ear = Ear()
    server = serve(open_media(people_picture), ear, 64 << 20)
    server.request(0)
    ear.wait_frame(0)
    assert ear.frames[0].name == "bus.jpg"


def test_overtaken_requests_leave_something_right_to_look_at(
    clips: Clips, serve: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poseviewer.media.server.PATIENCE_S", 0.0)
    ear = Ear()
    with open_media(clips.path("gop250.mkv")) as media:
        server = serve(media, ear, 500 * FRAME_BYTES)
        for round_ in range(6):
            for index in range(240 - round_, 5, -23):
                server.request(index)
                time.sleep(0.003)
            server.request(round_)
            ear.wait_frame(round_)
    assert all(read(frame.pixels) == frame.index for frame in ear.frames)


# --- the cache by itself ---


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=40),
    st.integers(50, 2000),
    st.integers(0, 60),
    st.sampled_from([-1, 0, 1]),
)
def test_cache_never_exceeds_its_budget(puts: list[tuple[int, int]], budget: int, cursor: int, direction: int) -> None:
    cache = FrameCache(budget)
    for index, size in puts:
        frame = Frame(index, 0.0, np.zeros((size, size, 3), dtype=np.uint8))
        stayed = cache.put(frame, cursor, direction)
        assert stayed == (index in cache)
        assert cache.nbytes <= budget or len(cache) == 1
        held = [i for first, last in cache.spans() for i in range(first, last + 1)]
        assert len(held) == len(cache) == len(set(held))
        nearest = cache.nearest(cursor)
        assert nearest is not None
        assert abs(nearest.index - cursor) == min(abs(i - cursor) for i in held)
