"""A training on two processes waits and ends as one does: both take the first one's word."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from poseviewer.core.progress import Progress
from poseviewer.jobs.retrain import RetrainOutcome, read_event
from poseviewer.nets.fastpose import FastPose, initialise
from poseviewer.nets.weights import EstimatorHeader, load_estimator, save_estimator
from tests.jobs.test_train_job import SPEC, TINY
from tests.training.people import draw_people

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240
"""Merely slow, not stuck: the machine may be busy."""


def start(folder: Path, rank: int, port: int) -> subprocess.Popen[str]:
    """Start one of two processes as torchrun does; its events go to a file."""
    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **told, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "poseviewer", "train", str(folder / "train.json"), "--out", str(folder / "out")]
    command += ["--from", str(folder / "old.safetensors"), "--minutes", "30", "--batch", "4", "--hold-out", "none"]
    command += ["--precision", "float32", "--device", "cpu", "--events"]
    with (folder / f"events-{rank}").open("w") as out, (folder / f"errors-{rank}").open("w") as errors:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=errors, text=True)


def texts(folder: Path) -> list[str]:
    """What the first process has said about how far it is."""
    events = map(read_event, (folder / "events-0").read_text().splitlines())
    return [event.text for event in events if isinstance(event, Progress) and event.unit == "%"]


def crops(text: str) -> int:
    """How many crops had been learnt from."""
    return int(text.split()[0])


def wait_until(condition: Callable[[], bool], running: list[subprocess.Popen[str]]) -> None:
    """Wait until the files say so; a process that ends early is an error."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert all(process.poll() is None for process in running), "a process ended"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def test_two_processes_pause_go_on_and_stop_together(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = FastPose(TINY)
    initialise(net)
    save_estimator(tmp_path / "old.safetensors", net, EstimatorHeader(spec=SPEC, network=TINY, licence="none"))
    draw_people(tmp_path, "train", 4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [start(tmp_path, rank, port) for rank in (0, 1)]
    try:
        wait_until(lambda: len(texts(tmp_path)) > 0, running)
        (tmp_path / "out" / "pause").touch()
        wait_until(lambda: sum("paused" in text for text in texts(tmp_path)) >= 2, running)
        paused = [text for text in texts(tmp_path) if "paused" in text]
        assert len(set(paused)) == 1
        assert paused[0].endswith("crops, paused")
        (tmp_path / "out" / "pause").unlink()
        # The step after which it waited may be told once more.
        wait_until(lambda: crops(texts(tmp_path)[-1]) > crops(paused[0]), running)
        (tmp_path / "out" / "pause").touch()
        wait_until(lambda: "paused" in texts(tmp_path)[-1], running)
        # A stop ends a pause.
        (tmp_path / "out" / "stop").touch()
        codes = [process.wait(timeout=PATIENCE_S) for process in running]
    finally:
        for process in running:
            process.kill()
    assert codes == [0, 0], [(tmp_path / f"errors-{rank}").read_text() for rank in (0, 1)]
    assert not {"pause", "stop", "checkpoint.pt"} & {path.name for path in (tmp_path / "out").iterdir()}
    outcome = read_event((tmp_path / "events-0").read_text().splitlines()[-1])
    assert isinstance(outcome, RetrainOutcome)
    assert load_estimator(Path(outcome.weights)).spec == SPEC
    assert (tmp_path / "events-1").read_text() == ""
