"""Frames per second of the pipeline, beside its bare networks and beside a loop that takes one person at a time.

    python tests/benchmarks/bench_pipeline.py [--frames 24] [--size 1280x720] [--device auto] [--cpu-time]

The frames are the photograph of four people in the ultralytics package, panned. Four ways, in the same run:

* bare: detector and estimator on tensors that are already there, in the pipeline's batches; no cropping, decoding, NMS
  or tracking.
* bare, large batches: the same in the largest batches that the configuration allows. On a processor the pipeline takes
  few frames at once, because somebody who looks at a frame waits for the batch that runs.
* pipeline: poseviewer.pipeline.run, from pixels to poses.
* naive: one frame at a time, one person at a time, cropped on the CPU by OpenCV, heatmaps copied back each time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.metadata import files

import cv2
import numpy as np
import torch

from poseviewer.core.values import Frame, MediaInfo
from poseviewer.ops.crops import heatmap_matrices, map_points, proposal_matrices, transformed_matrices
from poseviewer.ops.decode import decode_heatmaps
from poseviewer.ops.suppression import suppress_poses
from poseviewer.pipeline.config import PipelineConfig, applied_nms
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.run import run
from poseviewer.pipeline.workers import make_worker


class Panned:
    """A FrameSource: the photograph, moved a little from frame to frame."""

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        path = next(str(entry.locate()) for entry in files("ultralytics") or [] if entry.name == "bus.jpg")
        picture = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        width, height = size
        scale = 1.1 * max(width / picture.shape[1], height / picture.shape[0])
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.pictures = []
        for index in range(count):
            x = int((picture.shape[1] - width) * index / max(count - 1, 1))
            y = int((picture.shape[0] - height) * (0.4 + 0.3 * index / max(count - 1, 1)))
            self.pictures.append(np.ascontiguousarray(picture[y : y + height, x : x + width]))
        self.info = MediaInfo("panned", "video", count, size, 25.0, count / 25, "", 0, "panned")

    def frame(self, index: int) -> Frame:
        return Frame(index, index / 25, self.pictures[index])

    def frames(self, indices):
        return map(self.frame, indices)


@torch.inference_mode()
def bare(source: Panned, networks: Networks, people: list[int], frames_at_once: int, people_at_once: int) -> None:
    """The networks alone, on as many frames and people.

    Args:
        people: in each frame.
        frames_at_once, people_at_once: most of them in a batch; people of different batches of frames are not joined
            unless all frames fit one.
    """
    config = PipelineConfig()
    stacked = np.stack(source.pictures[:frames_at_once])
    batch = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(networks.device)
    width, height = networks.spec.input_wh
    inputs = torch.rand(min(sum(people), people_at_once), 3, height, width, device=networks.device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    for start in range(0, len(people), frames_at_once):
        here = people[start : start + frames_at_once]
        networks.detector(batch[: len(here)], confidence=config.confidence, iou=config.iou)
        for first in range(0, sum(here), people_at_once):
            part = inputs[: sum(here) - first]
            if networks.estimator.stn is not None:
                networks.theta(part)
            networks.answer(part)
    if networks.device.type == "cuda":
        torch.cuda.synchronize()


def cut(pixels: np.ndarray, window: torch.Tensor, networks: Networks) -> torch.Tensor:
    """One normalised crop by OpenCV."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(pixels, window[0].numpy(), networks.spec.input_wh, flags=flags)
    return networks.normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].float().to(networks.device))


@torch.inference_mode()
def naive(source: Panned, networks: Networks, config: PipelineConfig) -> int:
    """One frame and one person at a time."""
    found = 0
    size = networks.spec.input_wh
    for pixels in source.pictures:
        frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(networks.device)
        detected = networks.detector(frame, confidence=config.confidence, iou=config.iou)[0]
        rows = []
        for box in detected.boxes.cpu():
            window = proposal_matrices(box[None], size)
            tensor = cut(pixels, window, networks)
            theta = networks.theta(tensor)
            if theta is not None:
                window = transformed_matrices(window, theta.double().cpu(), size)
                tensor = cut(pixels, window, networks)
            maps = networks.answer(tensor).cpu()
            cells, scores = decode_heatmaps(maps)
            cell_map = heatmap_matrices(window, size, (maps.shape[3], maps.shape[2]))
            rows.append((map_points(cell_map, cells)[0], scores[0]))
        if rows:
            points, scores = (torch.stack(part) for part in zip(*rows, strict=True))
            suppress_poses(detected.boxes, detected.scores, points, scores, applied_nms(config))
            found += len(rows)
    return found


def timed(work, clock) -> float:
    """Return how many seconds ``work`` takes by ``clock``."""
    start = clock()
    work()
    return clock() - start


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--detector", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds: for a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    width, height = (int(part) for part in options.size.split("x"))
    source = Panned(options.frames, (width, height))
    config = PipelineConfig(detector=options.detector, device=options.device, precision=options.precision)
    networks = load_networks(config)
    everything = range(options.frames)
    results = list(run(source, everything, config, networks=networks, keep_evidence=True))
    people = [len(result.evidence.candidates.box_scores) if result.evidence else 0 for result in results]
    worker = make_worker(networks, config)
    ways = {
        "bare networks": lambda: bare(source, networks, people, worker.frames_at_once.value, config.batch_people),
        "bare, large batches": lambda: bare(source, networks, people, config.batch_frames, config.batch_people),
        "pipeline": lambda: list(run(source, everything, config, networks=networks)),
        "naive": lambda: naive(source, networks, config),
    }
    clock = time.process_time if options.cpu_time else time.perf_counter
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):  # interleaved, so that a busy machine disturbs all alike
        for name, work in ways.items():
            took[name].append(timed(work, clock))
    print(f"{options.frames} frames {options.size}, {sum(people)} people, {networks.device}, {networks.precision}")
    for name, seconds in took.items():
        print(f"{name:20}{options.frames / min(seconds):8.2f} frames/s")
    for name in ("bare networks", "bare, large batches", "naive"):
        ratios = [a / b for a, b in zip(took[name], took["pipeline"], strict=True)]
        print(f"pipeline / {name:20} {statistics.median(ratios):.2f} of its rate (median of the pairs)")


if __name__ == "__main__":
    main()
