"""From asking for a frame's evidence to the answer: at rest, from the cache, and while a run computes.

    python tests/benchmarks/bench_evidence.py [--frames 24] [--size 1280x720] [--detector W] [--device auto]

The straightforward version is an engine with one queue: there a request waits until the run is over. It is not built,
its time is the rest of the run, measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

from bench_pipeline import Panned

from poseviewer.core.progress import Note
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.engine import Answer, Engine, EvidenceRequest
from poseviewer.pipeline.run import run


class Asker:
    """Asks an engine and waits."""

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self.engine = Engine()
        self.ended = threading.Event()
        self._answered = threading.Event()
        self._number = 0
        self.engine.on_answer = self._hear
        self.engine.on_job_end = lambda result: self.ended.set()
        self.thread = threading.Thread(target=self.engine.serve, daemon=True)
        self.thread.start()

    def _hear(self, answer: Answer) -> None:
        if answer.error is not None:
            raise answer.error
        self._answered.set()

    def ask(self, source: Panned, index: int) -> float:
        """Return the seconds until the answer to frame ``index``."""
        self._number += 1
        self._answered.clear()
        start = time.perf_counter()
        self.engine.ask(EvidenceRequest(self._number, "panned", index, source.pictures[index], self.config))
        if not self._answered.wait(120):
            raise TimeoutError("the engine did not answer")
        return time.perf_counter() - start


def main() -> None:
    """Print medians in milliseconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--detector", default="")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    source = Panned(options.frames, (width, height))
    asker = Asker(PipelineConfig(detector=options.detector, device=options.device))
    first = asker.ask(source, 0)  # loads torch and the networks
    rest = [asker.ask(source, index) for index in range(1, 6)]
    cached = [asker.ask(source, index) for index in range(1, 6)]

    def job():
        networks = asker.engine.networks(asker.config)
        for result in run(source, range(options.frames), asker.config, networks=networks):
            yield Note(f"frame {result.frame}")

    asker.engine.submit(job())
    started = time.perf_counter()
    during, asked_at = [], []
    index = 6
    while not asker.ended.is_set() and index < options.frames:
        asked_at.append(time.perf_counter())
        during.append(asker.ask(source, index))
        index += 1
    asker.ended.wait(300)
    ended = time.perf_counter()
    asker.engine.stop()
    waiting = statistics.median(ended - moment for moment in asked_at)
    print(f"{options.size} on {asker.engine.device_name}, milliseconds (median)")
    print(f"first request, loading everything {1000 * first:9.0f}")
    print(f"at rest, computed                 {1000 * statistics.median(rest):9.0f}")
    print(f"at rest, from the cache           {1000 * statistics.median(cached):9.2f}")
    print(f"during a run of {ended - started:5.1f} s           {1000 * statistics.median(during):9.0f}")
    print(f"with one queue it would wait      {1000 * waiting:9.0f}   ratio {waiting / statistics.median(during):.1f}")


if __name__ == "__main__":
    main()
