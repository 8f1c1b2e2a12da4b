"""Exact seeking and scrubbing at 1080p, as ratios to the straightforward version in the same run.

Run by hand: ``python tests/benchmarks/bench_seek.py [--frames N] [--gop N] [--seeks N]``. Times of a busy machine say
little; the ratios of interleaved runs say more.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from poseviewer.core.values import Frame
from poseviewer.media import FrameServer, Media, frame_fingerprint, open_media

RATE = 25


def make_clip(path: Path, frames: int, gop: int) -> None:
    """Encode moving noise and edges at 1920x1080, H.264 with B-frames."""
    generator = np.random.default_rng(1)
    texture = generator.integers(0, 256, (135, 240, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    options = {"preset": "veryfast", "crf": "23", "bf": "3", "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1920, 1080, "yuv420p", gop
        for number in range(frames):
            view = texture[2 * (number % 500) :, 3 * (number % 600) :][:1080, :1920]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(view), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def plain_exact(path: Path, index: int) -> np.ndarray:
    """Return frame ``index`` the way that is always right: open the file and count from its start."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return frame.to_ndarray(format="rgb24")
    raise IndexError(index)


def plain_seek(path: Path, index: int) -> np.ndarray:
    """Return the frame that a seek to index / rate gives: fast, and right only for the kindest files."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        wanted = round(index / RATE / stream.time_base)
        container.seek(wanted, stream=stream)
        for frame in container.decode(stream):
            if frame.pts >= wanted:
                return frame.to_ndarray(format="rgb24")
    raise IndexError(index)


def seconds(work: object, *arguments: object) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work(*arguments)  # type: ignore[operator]
    return time.perf_counter() - start


def report(title: str, ours: list[float], plain: list[float], what: str) -> None:
    """Print medians and their ratio."""
    mine, theirs = statistics.median(ours), statistics.median(plain)
    print(f"{title:44} {mine * 1000:9.2f} ms   {what} {theirs * 1000:9.2f} ms   {theirs / mine:7.1f} times as fast")


def random_seeks(path: Path, media: Media, count: int) -> None:
    """Compare random seeks, interleaved so that the machine's load hits all alike."""
    numbers = random.Random(3)
    total = media.info.frame_count
    ours, exact, seek = [], [], []
    for number in range(count):
        index = numbers.randrange(total)
        ours.append(seconds(media.frame, index))
        seek.append(seconds(plain_seek, path, index))
        if number % 5 == 0:
            exact.append(seconds(plain_exact, path, index))
    report("random exact seek", ours, exact, "from the start")
    report("random exact seek", ours, seek, "seek to n/fps ")


def steps(path: Path, media: Media, direction: int, count: int) -> None:
    """Compare stepping frame by frame, once uncached and once from where the last step ended."""
    start = media.info.frame_count // 2
    media.frame(start)
    ours, plain = [], []
    for step in range(1, count + 1):
        ours.append(seconds(media.frame, start + direction * step))
        plain.append(seconds(plain_seek, path, start + direction * step))
    report(f"step {'forward' if direction > 0 else 'back'}", ours, plain, "seek to n/fps ")


def scrub(path: Path, media: Media, count: int) -> None:
    """Drag the cursor through the clip with the frame server; measure the caller's side and the exact frame."""
    came = threading.Event()
    last = [-1]

    def hear(frame: Frame) -> None:
        last[0] = frame.index
        came.set()

    server = FrameServer(media, on_frame=hear)
    caller, exact = [], []
    try:
        server.request(0, direction=1)
        came.wait(30)
        for index in range(1, count):
            came.clear()
            start = time.perf_counter()
            server.request(index, direction=1)
            server.nearest(index)
            caller.append(time.perf_counter() - start)
            while last[0] != index and came.wait(30):
                came.clear()
            exact.append(time.perf_counter() - start)
            time.sleep(max(1 / 60 - (time.perf_counter() - start), 0))
    finally:
        server.close()
    plain = [seconds(plain_seek, path, index) for index in range(1, count, 5)]
    report("scrub at 60 steps/s: exact frame shown", exact, plain, "seek to n/fps ")
    median, worst = statistics.median(caller) * 1000, max(caller) * 1000
    print(f"{'scrub: caller blocked, median / worst':44} {median:9.3f} ms / {worst:.3f} ms")


def main() -> None:
    """Make the clip, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--gop", type=int, default=60)
    parser.add_argument("--seeks", type=int, default=30)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POSEVIEWER_CACHE"] = folder
        path = Path(folder) / "bench.mp4"
        make_clip(path, chosen.frames, chosen.gop)
        print(f"{chosen.frames} frames of 1920x1080, GOP {chosen.gop}, {path.stat().st_size / 1e6:.1f} MB")
        with open_media(path) as media:
            print(f"{'open, provisional index':44} {seconds(lambda: open_media(path).close()) * 1000:9.2f} ms")
            print(f"{'confirm, per frame':44} {seconds(media.confirm) * 1000 / chosen.frames:9.2f} ms")
            pixels = media.frame(0).pixels
            taken = statistics.median(seconds(frame_fingerprint, pixels) for _ in range(20))
            print(f"{'fingerprint of a frame':44} {taken * 1000:9.2f} ms")
            random_seeks(path, media, chosen.seeks)
            steps(path, media, 1, 40)
            steps(path, media, -1, 25)
            scrub(path, media, 100)


if __name__ == "__main__":
    main()
