"""The engine: owner of device and networks, serving one thread of work from two queues. Plain Python, no Qt, no torch
until work needs it.

Interactive requests (the frame under the cursor, a hand-drawn box, a slider) go between any two steps of a running
job. Each kind has a slot of size one in which the newest wins; an answer that became late, because a newer request of
its kind is already waiting, is not delivered. Requests and answers are frozen values, so nothing is shared.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import DeviceError, KnownError
from poseviewer.core.progress import JobEvent
from poseviewer.core.values import Candidates, Frame, FrameResult, Grouping, Pixels, Pose, Suppression
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, check_config, config_hash
from poseviewer.pipeline.evidence import EvidenceCache, EvidenceKey
from poseviewer.pipeline.regrouping import Regrouped, regroup

if TYPE_CHECKING:
    import torch

    from poseviewer.pipeline.networks import Networks

log = logging.getLogger("poseviewer.engine")
Job = Iterator[JobEvent]
MOST_NETWORKS = 2
"""Configurations whose networks stay loaded."""


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceRequest:
    """Compute a frame with all evidence.

    Attributes:
        id: chosen by who asks; the answer carries it.
        media_path: for the cache, unless ``media_fingerprint`` is given.
        frame: index.
        pixels: ``(H, W, 3)`` uint8 RGB.
        config: what to compute.
        boxes: ``(n, 4)`` xyxy: run the estimator on these instead of the detector's, and suppress nobody.
        media_fingerprint: content of the media, for the cache.
    """

    id: int
    media_path: str
    frame: int
    pixels: Pixels
    config: PipelineConfig
    boxes: npt.NDArray[np.floating] | None = None
    media_fingerprint: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SuppressionRequest:
    """Decide again over kept candidates with other thresholds; no network runs."""

    id: int
    candidates: Candidates
    nms: NmsConfig


@dataclass(frozen=True, slots=True, eq=False)
class GroupingRequest:
    """Group kept peaks again with another limit; no network runs.

    Attributes:
        id: chosen by who asks.
        grouping: the evidence.
        limit: largest tag distance that lets a joint join.
        least: a person's score must exceed it.
    """

    id: int
    grouping: Grouping
    limit: float
    least: float


Request = EvidenceRequest | SuppressionRequest | GroupingRequest


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to one request.

    Attributes:
        id: the request's.
        frame: the request's; -1 for suppression and grouping.
        result: with evidence; None for suppression, grouping and after an error.
        suppression: the report.
        poses: the survivors.
        error: what went wrong, in one sentence.
        seconds: how long it took.
        regrouped: what another grouping limit would do.
        weights: what computed ``result``, as :meth:`poseviewer.pipeline.networks.Networks.loaded_weights` says it.
    """

    id: int
    frame: int
    result: FrameResult | None = None
    suppression: Suppression | None = None
    poses: tuple[Pose, ...] = ()
    error: KnownError | None = None
    seconds: float = 0.0
    regrouped: Regrouped | None = None
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)


class Engine:
    """Serves requests and jobs on the thread that calls :meth:`serve`.

    ``ask``, ``submit``, ``cancel`` and ``stop`` may be called from any thread. The three callbacks are called on the
    engine's thread.

    Attributes:
        on_answer: an interactive request was answered.
        on_event: the running job yielded an event.
        on_job_end: the running job ended; its result, None after a cancel, or the exception.
        evidence: the cache of frames that were looked at.

    Args:
        device: as in :class:`PipelineConfig`; used where a configuration says "auto".
        evidence_bytes: limit of the evidence cache.
    """

    def __init__(self, device: str = "auto", *, evidence_bytes: int = 256 << 20) -> None:
        self.on_answer: Callable[[Answer], None] = lambda answer: None
        self.on_event: Callable[[JobEvent], None] = lambda event: None
        self.on_job_end: Callable[[Any], None] = lambda result: None
        self.evidence = EvidenceCache(evidence_bytes)
        self._device_wanted = device
        self._device: torch.device | None = None
        self._networks: dict[str, Networks] = {}
        self._wake = threading.Condition()
        self._slots: dict[str, Request] = {}
        self._jobs: deque[Job] = deque()
        self._job: Job | None = None
        self._cancel = False
        self._stop = False

    # --- from any thread ---

    def ask(self, request: Request) -> None:
        """Put an interactive request into its slot; an older one of its kind that still waits is forgotten."""
        with self._wake:
            self._slots[_slot(request)] = request
            self._wake.notify()

    def submit(self, job: Job) -> None:
        """Queue a job: a generator of events that returns a result."""
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    def cancel(self) -> None:
        """Close the running job (or the next, if none runs yet) after its current step; other waiting jobs stay."""
        with self._wake:
            self._cancel = self._job is not None or bool(self._jobs)
            self._wake.notify()

    def stop(self) -> None:
        """Close the running job, drop the waiting ones and let :meth:`serve` return."""
        with self._wake:
            self._stop = True
            self._wake.notify()

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._wake:
            return self._job is not None or bool(self._jobs)

    @property
    def device_name(self) -> str:
        """The device, "cpu" or "cuda:0"; what was wished for ("auto") until the first networks are loaded."""
        return str(self._device) if self._device is not None else self._device_wanted

    # --- on the engine's thread ---

    def serve(self) -> None:
        """Serve until :meth:`stop`."""
        while self._wait():
            while (request := self._next_request()) is not None:
                self._answer(request)
            self._step()
        self._close_jobs()

    def networks(self, config: PipelineConfig) -> Networks:
        """Return the networks of ``config``, loaded on first use; the last two configurations' stay loaded.

        Raises:
            KnownError: weights or device that cannot be used.
        """
        from poseviewer.pipeline.loading import load_networks, networks_key

        key = networks_key(config)
        held = self._networks.pop(key, None)
        if held is None:
            wish = config.device if config.device != "auto" else self._device_wanted
            from poseviewer.pipeline.devices import pick_device

            held = load_networks(config, pick_device(wish))
            while len(self._networks) >= MOST_NETWORKS:
                self._networks.pop(next(iter(self._networks)))
        self._networks[key] = held
        self._device = held.device
        return held

    def _wait(self) -> bool:
        """Wait for something to do; False when it is time to leave."""
        with self._wake:
            while not (self._stop or self._slots or self._jobs or self._job is not None):
                self._wake.wait()
            return not self._stop

    def _next_request(self) -> Request | None:
        with self._wake:
            for slot in ("boxes", "suppression", "grouping", "evidence"):
                if slot in self._slots and not self._stop:
                    return self._slots.pop(slot)
        return None

    def _answer(self, request: Request) -> None:
        started = time.perf_counter()
        frame = request.frame if isinstance(request, EvidenceRequest) else -1
        try:
            answer = self._evidence(request) if isinstance(request, EvidenceRequest) else _decide(request)
        except KnownError as error:
            answer = Answer(request.id, frame, error=error)
        except Exception as error:
            log.exception("request %d failed", request.id)
            answer = Answer(request.id, frame, error=_as_known(error))
        with self._wake:
            late = _slot(request) in self._slots
        if not late:
            self._tell(self.on_answer, replace(answer, seconds=time.perf_counter() - started))

    def _evidence(self, request: EvidenceRequest) -> Answer:
        from poseviewer.pipeline.workers import make_worker

        check_config(request.config)
        networks = self.networks(request.config)
        if request.boxes is None and request.config.pipeline == "topdown":
            _ = networks.detector  # loaded now: its hash is part of the key
        key = EvidenceKey(
            request.media_fingerprint or request.media_path,
            request.frame,
            config_hash(request.config),
            networks.weights_hash(),
        )
        result = self.evidence.get(key) if request.boxes is None else None
        if result is None:
            config, boxes = request.config, None
            if request.boxes is not None:
                boxes = {request.frame: np.asarray(request.boxes, dtype=np.float32).reshape(-1, 4)}
                config = _without_suppression(config)
            frame = Frame(request.frame, 0.0, request.pixels)
            result = make_worker(networks, config).process([frame], boxes=boxes, keep_evidence=True)[0]
            if request.boxes is None:
                self.evidence.put(key, result)
        report = result.evidence.suppression if result.evidence is not None else None
        return Answer(request.id, request.frame, result, report, result.poses, weights=networks.loaded_weights())

    def _step(self) -> None:
        """Take the running job one event further, or begin the next."""
        with self._wake:
            cancelled, self._cancel = self._cancel, False
            if self._job is None and self._jobs:
                self._job = self._jobs.popleft()
            job = self._job
        if job is None:
            return
        if cancelled:
            self._finish(_closed(job))
            return
        try:
            event = next(job)
        except StopIteration as end:
            self._finish(end.value)
        except Exception as error:
            if not isinstance(error, KnownError):
                log.exception("a job failed")
            self._finish(error)
        else:
            self._tell(self.on_event, event)

    def _finish(self, result: Any) -> None:
        with self._wake:
            self._job, self._cancel = None, False
        self._tell(self.on_job_end, result)

    def _close_jobs(self) -> None:
        with self._wake:
            job, self._job = self._job, None
            waiting, self._jobs = list(self._jobs), deque()
            self._slots.clear()
        for one in [job, *waiting]:
            if one is not None:
                self._tell(self.on_job_end, _closed(one))

    def _tell(self, listener: Callable[[Any], None], value: Any) -> None:
        """Call a listener; its mistakes must not end the engine."""
        try:
            listener(value)
        except Exception:
            log.exception("a listener of the engine raised")


def _slot(request: Request) -> str:
    if isinstance(request, SuppressionRequest):
        return "suppression"
    if isinstance(request, GroupingRequest):
        return "grouping"
    return "evidence" if request.boxes is None else "boxes"


def _decide(request: SuppressionRequest | GroupingRequest) -> Answer:
    if isinstance(request, GroupingRequest):
        return Answer(request.id, -1, regrouped=regroup(request.grouping, request.limit, request.least))
    from poseviewer.pipeline.workers import suppress

    report, poses = suppress(request.candidates, request.nms)
    return Answer(request.id, -1, suppression=report, poses=poses)


def _without_suppression(config: PipelineConfig) -> PipelineConfig:
    import msgspec

    return msgspec.structs.replace(config, nms=msgspec.structs.replace(config.nms, enabled=False))


def _as_known(error: Exception) -> KnownError:
    """A bug, worded for the window; the log has the traceback."""
    return DeviceError("This frame could not be computed because of a fault in the program.", remedy=f"({error!r})")


def _closed(job: Job) -> BaseException | None:
    """Close a job; return what its closing raised, normally None."""
    close = getattr(job, "close", None)
    with contextlib.suppress(StopIteration):
        try:
            if close is not None:
                close()
        except Exception as error:
            log.exception("a job failed while it was closed")
            return error
    return None
