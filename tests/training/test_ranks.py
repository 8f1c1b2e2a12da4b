"""Several processes: two workers' gradients are one worker's on the joined batch, two ranks' predictions one's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from poseviewer.jobs.sharing import part_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from poseviewer.cli.progress import drive
from poseviewer.jobs.predicting import PredictOrder, predict_files
from poseviewer.training import ranks
from poseviewer.training.batches import Batch
from poseviewer.training.loop import Learner, LoopConfig
from poseviewer.training.objectives import HeatmapObjective
from tests.training.test_objectives import SPEC, make_batch, make_net

folder, clip = Path(sys.argv[1]), sys.argv[2]
ranks.join("cpu")
rank, world = ranks.rank(), ranks.world()
torch.manual_seed(0)
net = make_net()
# One half has fewer labels than the other: a mean of means would be wrong.
whole = make_batch(5)
whole.weights[1::2, 1] = 0
part = Batch(whole.crops[rank::world], whole.joints[rank::world], whole.weights[rank::world])
config = LoopConfig(steps=5, rate=1e-2, precision="float32", clip=0.0)
learner = Learner(net, HeatmapObjective(SPEC, torch.tensor([1.0, 1.5]), 1.0), config)
learner.learn(part)
gradients = torch.cat([p.grad.flatten() for p in learner.net.parameters()])
torch.save({"gradients": gradients, "loss": learner.take_loss(), "seen": learner.seen}, folder / f"{world}-{rank}.pt")
ranks.leave()
# A process joins once; for a second meeting the first one's address may still be taken.
os.environ["MASTER_PORT"] = sys.argv[3]
order = PredictOrder((clip,), out=str(folder / f"{world}.json"), device="cpu")
outcome = drive(predict_files(order))
(folder / f"done-{world}-{rank}.json").write_text(json.dumps([outcome.frames, outcome.people]))
"""


def start(folder: Path, clip: Path, rank: int, world: int, ports: tuple[int, int]) -> subprocess.Popen[bytes]:
    """Start one process as torchrun does; the second port is for the prediction."""
    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ports[0])} if world > 1 else {}
    environment = {**os.environ, **told, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(clip), str(ports[1])]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def test_each_process_takes_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no card here, so only what is asked of torch can be seen."""
    import torch
    from torch import distributed

    from poseviewer.core.errors import DeviceError
    from poseviewer.training import ranks

    asked: dict[str, Any] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.update(card=device))
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, **how: asked.update(backend=backend, **how))
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "6")):
        monkeypatch.setenv(name, value)
    for wanted in ("auto", "cuda"):
        asked.clear()
        assert ranks.join(wanted) == "cuda:1"
        assert asked["backend"] == "nccl"
        assert asked["card"] == asked["device_id"] == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DeviceError, match="only 2 are there"):
        ranks.join("auto")
    assert ranks.join("cpu") == "cpu"
    assert asked["backend"] == "gloo"


def test_shares_together_are_all_frames_in_order() -> None:
    for count in (0, 1, 2, 7, 100):
        frames = list(range(5, 5 + count))
        for world in (1, 2, 3, 8):
            parts = [part_of(frames, rank, world) for rank in range(world)]
            assert [frame for part in parts for frame in part] == frames
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_two_processes_do_what_one_does(tmp_path: Path, people_picture: Path) -> None:
    import torch

    clip = tmp_path / "clip.mp4"
    picture = cv2.cvtColor(cv2.resize(cv2.imread(str(people_picture)), (240, 320)), cv2.COLOR_BGR2RGB)
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 240, 320, "yuv420p", 4_000_000
        for shift in range(5):
            frame = av.VideoFrame.from_ndarray(picture[:, ::-1].copy() if shift % 2 else picture, format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    ports = free_ports()
    running = [start(tmp_path, clip, rank, world, ports) for rank, world in ((0, 1), (0, 2), (1, 2))]
    try:
        # Merely slow, not stuck: 160 s were measured on two cores that eight others used.
        codes = [process.wait(timeout=480) for process in running]
    finally:
        for process in running:
            process.kill()
    assert codes == [0, 0, 0]
    one, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    for other in (first, second):
        torch.testing.assert_close(other["gradients"], one["gradients"], rtol=1e-4, atol=1e-6)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["seen"] == one["seen"] == 8
    alone, together = (json.loads((tmp_path / f"{world}.json").read_text()) for world in (1, 2))
    assert len(alone) > 4
    assert together == alone
    images = [json.loads((tmp_path / f"{world}.images.json").read_text())["images"] for world in (1, 2)]
    assert images[0] == images[1]
    assert json.loads((tmp_path / "done-2-1.json").read_text())[0] == 3
