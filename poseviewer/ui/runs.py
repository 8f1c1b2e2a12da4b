"""Runs in the background: the engine's thread, the configuration of the next run, and what is going on."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QObject, Signal

from poseviewer.core.progress import JobEvent
from poseviewer.ui.messages import Message
from poseviewer.ui.parts import DeskParts
from poseviewer.ui.text import tr
from poseviewer.ui.threads import EngineThread, JobThread

if TYPE_CHECKING:
    from poseviewer.pipeline.config import PipelineConfig
    from poseviewer.pipeline.engine import Engine
    from poseviewer.project import RunRow

log = logging.getLogger("poseviewer.runs")


class Runs(QObject):
    """Owns the engine's thread.

    Attributes:
        engine: takes requests and jobs.
        running: whether a run is going.
        device_name: where the engine computes, "" until torch is loaded.
    """

    answer = Signal(object)
    job_event = Signal(object)
    ended = Signal(object)
    running_changed = Signal()
    config_changed = Signal()

    def __init__(self, desk: DeskParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.running = False
        self.device_name = ""
        self._config: PipelineConfig | None = None
        self.engine = self._new_engine("auto")

    def _new_engine(self, device: str) -> EngineThread:
        engine = EngineThread(device, self)
        engine.ready.connect(self._ready)
        engine.answer.connect(self.answer)
        engine.job_event.connect(self.job_event)
        engine.job_ended.connect(self._ended)
        engine.error.connect(self._broken)
        return engine

    def _ready(self, name: str) -> None:
        self.device_name = name
        self.config_changed.emit()

    def _broken(self, error: BaseException) -> None:
        self._set_running(running=False)
        self._desk.tell_error(error)

    @property
    def config(self) -> PipelineConfig:
        """What the next run computes."""
        if self._config is None:
            from poseviewer.pipeline.config import PipelineConfig

            self._config = PipelineConfig()
        return self._config

    def set_config(self, config: PipelineConfig) -> None:
        """Use ``config`` for the next run; another device gets a new engine."""
        if config == self.config:
            return
        if config.device != self.config.device:
            self._renew(config.device)
        self._config = config
        self.config_changed.emit()

    def _renew(self, device: str) -> None:
        """Stop the engine, which ends a run within one batch, and make another."""
        self.engine.stop()
        self.engine.deleteLater()
        self.engine = self._new_engine(device)
        self.device_name = ""
        self._set_running(running=False)

    def evidence_config(self) -> PipelineConfig:
        """Return the configuration of the run that found the people of this frame, so that evidence equals what it saw.

        A frame that no run processed goes with the newest run over the media.
        """
        row = self.evidence_run()
        return self.config if row is None else self._config_of(row)

    def evidence_run(self) -> RunRow | None:
        """Return the run that :meth:`evidence_config` goes with; None where no run processed the media."""
        desk = self._desk
        if desk.project is None or desk.media_id is None:
            return None
        rows = {row.id: row for row in desk.project.runs(desk.media_id)}
        if not rows:
            return None
        here = desk.project.frame_row(desk.media_id, desk.selection.frame)
        return rows.get(here.run or 0, rows[max(rows)]) if here is not None else rows[max(rows)]

    def _config_of(self, row: RunRow) -> PipelineConfig:
        """Return a run's configuration, on the device that is chosen now."""
        from poseviewer.pipeline.config import PipelineConfig

        try:
            return msgspec.structs.replace(msgspec.convert(row.config, PipelineConfig), device=self.config.device)
        except msgspec.ValidationError:
            log.warning("run %s has a configuration of another version", row.id)
            return self.config

    def run(self, frames: Sequence[int], *, continued: RunRow | None = None) -> None:
        """Run the pipeline over ``frames``, streaming predictions into the project.

        Args:
            frames: in the order to compute them.
            continued: a run that stopped before its end and is taken up again, with its own configuration.
        """
        desk = self._desk
        frames = list(frames)
        if desk.project is None or desk.media_id is None or not frames or not desk.may_edit():
            return
        if self.running:
            desk.tell(Message(tr("A run is already going."), tr("Cancelling keeps finished frames."), key="run"))
            return
        media = desk.reopen_media()
        if media is None:
            return
        project, media_id = desk.project, desk.media_id
        config = self.config if continued is None else self._config_of(continued)
        number = None if continued is None else continued.id

        def job(engine: Engine) -> Generator[JobEvent, None, object]:
            from poseviewer.jobs.predict import predict

            try:
                if continued is not None:
                    same_weights(continued, engine, config)
                return (yield from predict(project, media, media_id, frames, config, engine, continue_run=number))
            finally:
                media.close()

        self._set_running(running=True)
        self.engine.submit(job)

    def continue_run(self) -> None:
        """Run the frames that the newest stopped run left out."""
        from poseviewer.jobs.continuing import stopped_run

        desk = self._desk
        if desk.project is None or desk.media_id is None:
            return
        row = stopped_run(desk.project, desk.media_id)
        if row is None:
            desk.tell(Message(tr("No run was stopped before its end."), key="run"))
        else:
            self.run(list(desk.project.unfinished(row.id)), continued=row)

    def discard(self, run: int) -> JobThread | None:
        """Take what a run found out of the project, in the background; corrections stay."""
        from poseviewer.jobs.deleting import discard_run

        desk = self._desk
        if desk.project is None or not self.may_discard(run):
            return None
        thread = desk.start_job(discard_run(desk.project, run), writes=True)
        thread.result.connect(
            lambda count: desk.noted.emit(
                tr("run {n} discarded, one frame", n=run)
                if count == 1
                else tr("run {n} discarded, {count} frames", n=run, count=count)
            )
        )
        return thread

    def may_discard(self, run: int) -> bool:
        """Return whether a run can be discarded now: the one that is going cannot."""
        project = self._desk.project
        rows = {row.id: row for row in project.runs()} if project is not None else {}
        return run in rows and not (self.running and rows[run].outcome != "done")

    def cancel(self) -> None:
        """End the run after the present batch; finished frames are kept."""
        if self.running:
            self.engine.cancel()

    def end(self) -> None:
        """Cancel the run and wait until it wrote what it had: its project is about to close."""
        if self.running:
            self._renew(self.config.device)

    def stop(self) -> None:
        """Stop the engine's thread."""
        self.engine.stop()

    def _ended(self, outcome: object) -> None:
        self._set_running(running=False)
        if isinstance(outcome, BaseException):
            self._desk.tell_error(outcome)
        else:
            self._follow_estimator(getattr(outcome, "networks", None) or {})
        self.ended.emit(outcome)

    def _follow_estimator(self, networks: dict[str, Any]) -> None:
        """Take the pose NMS that belongs to the estimator of the run that ended, unless a person chose another."""
        from poseviewer.pipeline.config import with_own_nms

        estimator = networks.get("estimator") or {}
        if "decode" in estimator:
            self.set_config(with_own_nms(self.config, estimator["joints"], estimator["decode"], auto=True))

    def _set_running(self, *, running: bool) -> None:
        if running != self.running:
            self.running = running
            self.running_changed.emit()


def same_weights(row: RunRow, engine: Engine, config: PipelineConfig) -> None:
    """Check on the engine's thread that a run would go on with the weights that it began with.

    Raises:
        KnownError: if they cannot be loaded or are others.
    """
    from poseviewer.jobs.continuing import check_same_weights

    networks = engine.networks(config)
    with_detector = config.pipeline == "topdown"
    if with_detector:
        # Loaded now, so that the description names it.
        _ = networks.detector
    remedy = "Put that one back, or begin a new run."
    check_same_weights(row.networks, networks.describe(), with_detector=with_detector, remedy=remedy)
