"""How the project file behaves with 200,000 predicted frames, beside an empty one. Run it: no test calls it.

    .venv/bin/python tests/benchmarks/bench_project.py [--frames 200000] [--people 2] [--rounds 60]

Every figure of the large project stands beside the same figure of a project with as few predicted frames as there are
rounds, measured in the same run and in alternation, because the machine may be busy. Each round edits another person,
in both, so that both make a new correction every time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.project import Project, edits
from poseviewer.project.blobs import pack
from poseviewer.project.lanes import CELL, quantised
from poseviewer.project.tracks import BLOCK

JOINTS = 17


def info(frames: int) -> MediaInfo:
    """What is known about the made-up video."""
    return MediaInfo("/videos/long.mp4", "video", frames, (1920, 1080), 25.0, frames / 25, "h264", 0, "ff00")


def make(path: Path, frames: int, people: int) -> None:
    """Write a project whose run predicted ``people`` people in each of ``frames`` frames, by bulk inserts."""
    random = np.random.default_rng(1)
    points = random.uniform(0, 1000, (512, JOINTS, 2)).astype(np.float32)
    scores = random.uniform(0.2, 1, (512, JOINTS)).astype(np.float32)
    boxes = random.uniform(0, 1000, (512, 4)).astype(np.float32)
    blobs = [(pack(boxes[i]), pack(points[i]), pack(scores[i])) for i in range(512)]
    with Project.create(path) as project:
        media = project.add_media(info(frames))
        run = project.start_run(media, {}, {}, range(frames))
        # Frame f shows the poses f, f + 1, ... of the 512, so every block of 512 frames has the same summary.
        shown = np.stack([np.roll(scores, -rank, axis=0) for rank in range(people)])
        means = shown.mean(axis=2)
        figures = {"low": means.min(axis=0), "mean": means.mean(axis=0), "high": means.max(axis=0)}
        joints = quantised(shown.min(axis=0))
        with project._database.write() as transaction:
            db = transaction.db
            db.executemany(
                "INSERT INTO prediction (media, frame, run, rank, score, track, box, keypoints, scores)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (media, frame, run, rank, 0.5, rank + 1, *blobs[(frame + rank) % 512])
                    for frame in range(frames)
                    for rank in range(people)
                ),
            )
            db.executemany("INSERT INTO run_frame VALUES (?, ?)", ((run, frame) for frame in range(frames)))
            db.executemany(
                "INSERT INTO frame VALUES (?, ?, ?, ?, ?, 2, ?, ?, ?, ?)",
                (
                    (
                        media,
                        frame,
                        frame / 25,
                        f"{frame:016x}",
                        run,
                        people,
                        *(float(figure[frame % 512]) for figure in figures.values()),
                    )
                    for frame in range(frames)
                ),
            )
            for block in range(-(-frames // BLOCK)):
                inside = min(frames - block * BLOCK, BLOCK)
                cells = np.zeros(BLOCK, dtype=CELL)
                cells["state"][:inside] = 2
                cells["people"][:inside] = people
                for name, figure in figures.items():
                    cells[name] = np.where(np.arange(BLOCK) < inside, figure, np.nan)
                db.execute("INSERT INTO lane VALUES (?, ?, ?)", (media, block, cells.tobytes()))
                held = np.where(np.arange(BLOCK)[:, None] < inside, joints, 0).astype(np.uint8)
                rows = [(media, block, index, held[:, index].tobytes()) for index in range(JOINTS)]
                db.executemany("INSERT INTO joint_lane VALUES (?, ?, ?, ?)", rows)
            bits = [
                np.packbits(np.arange(BLOCK) < frames - block * BLOCK).tobytes() for block in range(-(-frames // BLOCK))
            ]
            db.executemany(
                "INSERT INTO track_lane VALUES (?, ?, ?, ?, ?)",
                ((media, b, run, rank + 1, held) for b, held in enumerate(bits) for rank in range(people)),
            )
            db.executemany(
                "INSERT INTO doubt (media, frame, prediction, kind, figure, weight) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (media, frame, frame * people + 1, "low_score", 0.2, frame % 97 / 97)
                    for frame in range(0, frames, 20)
                ),
            )
        project.finish_run(run, "done")


def refresh_lanes(project: Project, frames: int, frame: int) -> Callable[[], object]:
    """Return what the timeline does after an edit of ``frame``: the whole media shown, one column fetched anew."""
    from poseviewer.ui.timeline.data import patched

    fetch = partial(project.lanes, 1, joint=3)
    whole = fetch(0, frames - 1, min(frames, 1300))
    return lambda: patched(whole, frozenset({frame}), fetch)


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def compare(name: str, small: Callable[[int], object], large: Callable[[int], object], rounds: int) -> None:
    """Measure both in alternation and print the medians and their ratio."""
    first: list[float] = []
    second: list[float] = []
    for turn in range(rounds):
        first.append(timed(lambda turn=turn: small(turn)))
        second.append(timed(lambda turn=turn: large(turn)))
    a, b = statistics.median(first), statistics.median(second)
    worst = sorted(second)[int(len(second) * 0.99)]
    print(f"{name:34} small {a:8.3f} ms   large {b:8.3f} ms   ratio {b / a:5.2f}   large, 99th of 100 {worst:8.3f} ms")


def results(first: int, count: int) -> list[FrameResult]:
    """Frames with two people, as a run hands them over."""
    random = np.random.default_rng(first)
    found = []
    for frame in range(first, first + count):
        poses = []
        for person in range(2):
            points = random.uniform(0, 200, (JOINTS, 2)).astype(np.float32) + person * 400
            scores = random.uniform(0.3, 1, JOINTS).astype(np.float32)
            box = np.array([person * 400, 0, person * 400 + 200, 200], dtype=np.float32)
            poses.append(Pose(points, scores, box, 0.7))
        found.append(FrameResult(frame, frame / 25, tuple(poses), f"{frame:016x}"))
    return found


def measure(small: Project, large: Project, frames: int, rounds: int) -> None:
    """Print the figures of a small and a large project side by side."""
    far = [int(x) for x in np.random.default_rng(2).integers(0, frames, rounds)]
    near = list(range(rounds))
    compare("step: people() of a frame", lambda t: small.people(1, near[t]), lambda t: large.people(1, far[t]), rounds)

    def move(project: Project, frame: int, person: str, turn: int) -> None:
        project.apply(edits.MoveJoint(1, frame, person, turn % JOINTS, turn, turn, fingerprint="aa", timestamp_s=1.0))

    small_keys = [small.people(1, frame)[0].key for frame in near]
    keys = [large.people(1, frame)[0].key for frame in far]
    compare(
        "edit: move a joint, committed",
        lambda t: move(small, near[t], small_keys[t], t),
        lambda t: move(large, far[t], keys[t], t),
        rounds,
    )
    compare("undo", lambda _: small.undo(), lambda _: large.undo(), rounds)
    compare("redo", lambda _: small.redo(), lambda _: large.redo(), rounds)
    compare(
        "lanes of everything, 1,200 columns",
        lambda _: small.lanes(1, 0, 0, 1200),
        lambda _: large.lanes(1, 0, frames - 1, 1200),
        rounds,
    )
    compare(
        "the same with one joint",
        lambda _: small.lanes(1, 0, 0, 1200, joint=9),
        lambda _: large.lanes(1, 0, frames - 1, 1200, joint=9),
        rounds,
    )
    refreshed = [refresh_lanes(small, rounds, 7), refresh_lanes(large, frames, far[0])]
    compare("timeline after an edit", lambda _: refreshed[0](), lambda _: refreshed[1](), rounds)
    compare(
        "tracks of 2,000 frames",
        lambda _: small.tracks(1, 0, 0),
        lambda t: large.tracks(1, far[t], far[t] + 1999),
        rounds,
    )
    compare("tracks of everything", lambda _: small.tracks(1, 0, 0), lambda _: large.tracks(1, 0, frames), rounds)
    compare(
        "next corrected frame",
        lambda _: small.next_of(1, 0, "corrected"),
        lambda t: large.next_of(1, far[t], "corrected"),
        rounds,
    )
    compare("next doubt", lambda _: small.next_of(1, 0, "doubt"), lambda t: large.next_of(1, far[t], "doubt"), rounds)
    compare("worth a look, 500", lambda _: small.worth_a_look(1), lambda _: large.worth_a_look(1), rounds)
    compare("counts", lambda _: small.counts(), lambda _: large.counts(), rounds)

    runs = [project.start_run(1, {}, {}, range(frames)) for project in (small, large)]
    chunks = [results(1 + turn * 32, 32) for turn in range(min(rounds, 30))]
    compare(
        "store 32 frames of two people",
        lambda t: small.store_results(runs[0], chunks[t]),
        lambda t: large.store_results(runs[1], chunks[t]),
        len(chunks),
    )


def main() -> None:
    """Make both projects in a temporary folder, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "small.poseproj", Path(folder) / "large.poseproj"]
        make(paths[0], options.rounds, options.people)
        spent = timed(lambda: make(paths[1], options.frames, options.people))
        print(f"making {options.frames} frames took {spent:.0f} ms")
        print(f"large file: {paths[1].stat().st_size / 2**20:.0f} MiB")
        compare("open and close", lambda _: Project.open(paths[0]).close(), lambda _: Project.open(paths[1]).close(), 5)
        with Project.open(paths[0]) as small, Project.open(paths[1]) as large:
            measure(small, large, options.frames, options.rounds)


if __name__ == "__main__":
    main()
