"""Running a pipeline over a media: results into a project, into a list, or both."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from poseviewer.core.errors import CallError, KnownError, MediaError, WeightsError
from poseviewer.core.progress import FrameDone, JobEvent, Note, ProgressMeter
from poseviewer.core.values import Array, FrameResult, FrameSource
from poseviewer.jobs.fitting import fit_joints
from poseviewer.jobs.recalling import tracker_for
from poseviewer.pipeline.config import PipelineConfig, applied_flip, with_own_nms
from poseviewer.project import Project
from poseviewer.project.rows import Outcome

if TYPE_CHECKING:
    from poseviewer.pipeline.engine import Engine
    from poseviewer.pipeline.networks import Networks
    from poseviewer.pipeline.tracking import Tracker

STORE_FRAMES = 16
STORE_INTERVAL_S = 0.25
"""Results are stored this often, so that a transaction stays short and a crash costs little."""

MOST_UNREADABLE = 20
"""So many unreadable frames in a row end a run."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictReport:
    """What a run did.

    Attributes:
        run: id in the project, or None without one.
        frames: how many were computed.
        people: how many were found in them.
        seconds: the run took.
        networks: device, precision, weights and their hashes.
        unreadable: frames that could not be read and were left out.
    """

    run: int | None
    frames: int
    people: int
    seconds: float
    networks: dict[str, Any] = field(default_factory=dict)
    unreadable: int = 0


Compute = Callable[..., Iterator[FrameResult]]
"""Called as :func:`readable`."""


def predict(
    project: Project | None,
    media: FrameSource,
    media_id: int,
    frames: Sequence[int],
    config: PipelineConfig,
    engine: Engine | Networks,
    *,
    boxes: Mapping[int, Array] | None = None,
    into: list[FrameResult] | None = None,
    continue_run: int | None = None,
    change: Callable[[FrameResult], FrameResult] | None = None,
    compute: Compute | None = None,
) -> Generator[JobEvent, None, PredictReport]:
    """Run ``config`` over ``frames`` and stream the results into ``project``.

    Results are stored in short transactions as they come. Closing the generator, or an error, leaves everything
    that was finished in the project and the run marked accordingly; ``continue_run`` takes it up again. A frame that
    cannot be read is told and left out.

    Args:
        project: where predictions go, or None.
        media: decoder of the calling thread.
        media_id: of the project; any number without one.
        frames: indices in the order to compute them.
        config: the pipeline.
        engine: an engine, or networks that were loaded for ``config``.
        boxes: ``(n, 4)`` xyxy of each frame instead of the detector's.
        into: results are appended here too, as they come.
        continue_run: a run of the project that did not finish; only its remaining frames are computed.
        change: applied to each result before it is stored (the demo plants something to find).
        compute: takes the place of :func:`readable` where several processes share the frames.

    Raises:
        KnownError: as the pipeline, the media and the project raise it.
    """
    networks = engine.networks(config) if hasattr(engine, "networks") else engine
    if boxes is None and config.pipeline == "topdown":
        # Loaded now, so that the run's record names the detector too.
        _ = networks.detector
    # Fixed now, so that the run's record holds what was done: the numbers of its pose NMS, the flip test.
    config = with_own_nms(config, networks.joints, networks.spec.decode)
    config = msgspec.structs.replace(config, flip=applied_flip(config))
    described = networks.describe()
    if project is not None:
        fit_joints(project, networks)
    sink = _Sink(project, media_id, into)
    frames = sink.begin(config, described, frames, continue_run)
    notes: deque[Note] = deque([*_guessed(networks), *_computed_by(networks)])
    meter = ProgressMeter(len(frames), "frames")
    outcome: Outcome = "cancelled"
    reason = ""
    tracker = tracker_for(project, media.info, media_id, config, networks.skeleton, frames, continue_run)
    try:
        for result in (compute or readable)(media, frames, config, networks, boxes, notes, tracker):
            done = change(result) if change else result
            _check_finite(done)
            sink.add(done)
            while notes:
                yield notes.popleft()
            yield FrameDone(media_id, done.frame, len(done.poses))
            if event := meter.step():
                yield event
        outcome = "done"
    except Exception as error:
        outcome, reason = "error", str(error) if isinstance(error, KnownError) else "An unexpected error; see the log."
        raise
    finally:
        sink.end(outcome, reason)
    yield from notes
    seconds = meter.snapshot().seconds
    return PredictReport(sink.run, sink.frames, sink.people, seconds, described, len(frames) - sink.frames)


def _computed_by(networks: Networks) -> list[Note]:
    """Tell what computes the estimator where it is not torch in float32, whose layouts differ in the last bits only."""
    from poseviewer.pipeline.backends import FLOAT32_TOLERANCE

    backend = networks.backend
    told = [Note(backend.note)] if backend.note else []
    usual = backend.name in ("torch", "eager") and backend.precision == "float32"
    if not usual or (backend.difference or 0.0) > FLOAT32_TOLERANCE:
        told.append(Note(f"The estimator is computed by {backend.words()}."))
    return told


def _guessed(networks: Networks) -> list[Note]:
    """Tell what was guessed about the estimator, because nothing in or beside its file says it."""
    facts = networks.estimator.open_facts
    if not facts:
        return []
    name = networks.estimator_name
    words = f"{name} does not say its {', '.join(facts)}; these were guessed (poseviewer models inspect {name} --set)."
    return [Note(words, "warning")]


def _check_finite(result: FrameResult) -> None:
    """Refuse what would be neither a place nor a score.

    Raises:
        WeightsError: if a number is not finite.
    """
    for pose in result.poses:
        if not all(np.isfinite(numbers).all() for numbers in (pose.keypoints, pose.scores, pose.box, pose.score)):
            raise WeightsError(
                f"The pose network answered with a number that is not finite in frame {result.frame}.",
                remedy="Its weights are damaged, or the device's precision does not suffice for them.",
            )


def readable(
    media: FrameSource,
    frames: Sequence[int],
    config: PipelineConfig,
    networks: Networks,
    boxes: Mapping[int, Array] | None,
    notes: deque[Note],
    tracker: Tracker | None,
) -> Iterator[FrameResult]:
    """Run the pipeline over the frames that can be read; one damaged picture does not end a long run.

    Raises:
        MediaError: if no frame can be read, or many in a row cannot (the file has gone, say).
    """
    from poseviewer.pipeline.run import run as run_pipeline

    left = list(frames)
    any_read, failed_in_a_row = False, 0
    while left:
        done = 0
        results = run_pipeline(
            media, left, config, networks=networks, boxes=boxes, on_note=notes.append, tracker=tracker
        )
        with contextlib.closing(results):  # type: ignore[type-var]  # a generator behind an Iterator
            try:
                for result in results:
                    done += 1
                    any_read, failed_in_a_row = True, 0
                    yield result
                return
            except MediaError as error:
                failed_in_a_row += 1
                last = done + 1 >= len(left)
                if failed_in_a_row > MOST_UNREADABLE or (last and not any_read):
                    raise
                # The pipeline yields everything before the frame that it cannot read.
                notes.append(Note(str(error), "error", left[done]))
        left = left[done + 1 :]


class _Sink:
    """Gathers results and hands them to the project in small portions."""

    def __init__(self, project: Project | None, media: int, into: list[FrameResult] | None) -> None:
        self._project = project
        self._media = media
        self._into = into
        self._waiting: list[FrameResult] = []
        self._stored_at = time.monotonic()
        self.run: int | None = None
        self.frames = 0
        self.people = 0

    def begin(
        self, config: PipelineConfig, networks: dict[str, Any], frames: Sequence[int], continue_run: int | None
    ) -> list[int]:
        """Start a run, or take up an unfinished one; return the frames to compute."""
        if self._project is None:
            return list(frames)
        if continue_run is not None:
            self.run = continue_run
            return list(self._project.unfinished(continue_run))
        self.run = self._project.start_run(self._media, msgspec.to_builtins(config), networks, frames)
        return list(frames)

    def add(self, result: FrameResult) -> None:
        """Take one result; store the waiting ones when there are enough or enough time has passed."""
        self.frames += 1
        self.people += len(result.poses)
        if self._into is not None:
            self._into.append(result)
        self._waiting.append(result)
        if len(self._waiting) >= STORE_FRAMES or time.monotonic() - self._stored_at > STORE_INTERVAL_S:
            self._store()

    def end(self, outcome: Outcome, note: str) -> None:
        """Store the rest and mark the run."""
        if self._project is None or self.run is None:
            return
        self._store()
        self._project.finish_run(self.run, outcome, note)

    def _store(self) -> None:
        if self._project is not None and self.run is not None and self._waiting:
            self._project.store_results(self.run, self._waiting)
        self._waiting = []
        self._stored_at = time.monotonic()


def config_of_run(config: dict[str, Any]) -> PipelineConfig:
    """Return the pipeline of a stored run.

    Raises:
        CallError: if another version of PoseViewer wrote it and it no longer fits.
    """
    try:
        return msgspec.convert(config, PipelineConfig)
    except msgspec.ValidationError as error:
        raise CallError(f"This run's configuration cannot be used any more: {error}.") from error
