"""The retrain dialog: learn from the corrections, watch it, see what it gained, use the new weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtWidgets import QStackedWidget, QWidget

from poseviewer.core.errors import KnownError
from poseviewer.ui.dialogs.base import Dialog
from poseviewer.ui.dialogs.retrain_pages import RetrainResults, RetrainRunning, RetrainSetup
from poseviewer.ui.messages import Message, of_error
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.jobs.retrain import RetrainOrder, RetrainOutcome
    from poseviewer.ui.desk import Desk
    from poseviewer.ui.threads import JobThread

TALL = 780
"""Height that shows the whole table of 17 joints, logical pixels."""


class RetrainDialog(Dialog):
    """Asks, trains in a process of its own, and shows before and after. Not modal: correcting goes on meanwhile."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(tr("Retrain"), 640, parent)
        self.desk = desk
        self.setup = RetrainSetup(desk)
        self.running = RetrainRunning()
        self.results = RetrainResults(desk)
        self._job: JobThread | None = None
        self._order: RetrainOrder | None = None
        self.outcome: RetrainOutcome | None = None
        self.pages = QStackedWidget()
        for page in (self.setup, self.running, self.results):
            self.pages.addWidget(page)
        self.body.addWidget(self.pages, 1)
        self.buttons.insertWidget(0, Label(tr("Your corrections are only read, never changed."), size=11, token="t3"))
        self.close_button = self.add_button(tr("Close"))
        self.close_button.clicked.connect(self.close)
        self.start = self.add_button(tr("Retrain"), primary=True)
        self.start.clicked.connect(self._primary)
        self.setup.changed.connect(self._show_state)
        self.running.pause.clicked.connect(lambda: self._pause(on=True))
        self.running.go_on.clicked.connect(lambda: self._pause(on=False))
        self.running.stop.clicked.connect(self._stop)
        self.running.cancel.clicked.connect(self.cancel)
        desk.project_opened.connect(self._project_opened)
        self.resize(680, 420)
        self._show_page(self.setup)

    def _show_page(self, page: QWidget) -> None:
        self.pages.setCurrentWidget(page)
        self._show_state()

    def _show_state(self) -> None:
        page = self.pages.currentWidget()
        self.start.setVisible(page is not self.running)
        self.start.setText(tr("Use these weights") if page is self.results else tr("Retrain"))
        self.start.setEnabled(page is self.results or self.setup.ready())
        self.close_button.setText(tr("Hide") if page is self.running else tr("Close"))

    def _project_opened(self) -> None:
        if self._job is None:
            self.setup.read_project()
            self._show_page(self.setup)

    def _primary(self) -> None:
        if self.pages.currentWidget() is self.results:
            self._use()
        else:
            self.begin()

    # --- training ---

    def begin(self) -> None:
        """Start the training that the fields describe."""
        from poseviewer.jobs.retrain import retrain_project

        if self.desk.project is None:
            return
        self._order = self.setup.order()
        self.running.begin(self.setup.words())
        self._show_page(self.running)
        self.close_button.setFocus()
        self._job = thread = self.desk.start_job(retrain_project(self.desk.project, self._order), tell_errors=False)
        thread.job_event.connect(self.running.hear)
        thread.result.connect(self.show_outcome)
        thread.error.connect(self._failed)
        thread.finished.connect(self._ended)

    def cancel(self) -> None:
        """End the training; nothing of it is used."""
        if self._job is not None:
            self.running.cancelling()
            self._job.cancel()

    def _pause(self, *, on: bool) -> None:
        """Let the training wait, or go on."""
        if self._order is not None:
            from poseviewer.jobs.retrain import pause

            pause(self._order.out, on=on)
            self.running.show_paused(paused=on)

    def _stop(self) -> None:
        """Let the training end now, with what it has learnt."""
        if self._order is not None:
            from poseviewer.jobs.retrain import ask_to_stop

            ask_to_stop(self._order.out)
            self.running.stopping()

    def show_outcome(self, outcome: RetrainOutcome) -> None:
        """Show what came of a training, or say that there is something to show."""
        self.outcome = outcome
        self.results.show_outcome(outcome)
        self._show_page(self.results)
        window = self.parentWidget()
        room = window.height() if window is not None else TALL
        self.resize(self.width(), max(self.height(), min(TALL, room)))
        if not self.isVisible():
            self.desk.tell(Message(tr("The retraining is done."), level="done", actions=((tr("Show"), "retrain"),)))

    def _failed(self, error: BaseException) -> None:
        message = of_error(error)
        remedy = message.remedy if isinstance(error, KnownError) else ""
        self.setup.say(f"{message.sentence} {remedy}".strip())
        self._show_page(self.setup)

    def _ended(self) -> None:
        self._job = None
        if self.pages.currentWidget() is self.running:
            self._show_page(self.setup)

    def _use(self) -> None:
        """Take the new weights for the next runs."""
        if self.outcome is None:
            return
        self.desk.set_config(msgspec.structs.replace(self.desk.config, estimator=self.outcome.weights))
        self.desk.tell(
            Message(
                tr("The next run uses {name}.", name=Path(self.outcome.weights).parent.name),
                level="done",
                actions=((tr("Run this frame"), "run_frame"),),
                key="retrain",
            )
        )
        self.start.setEnabled(False)

    def reject(self) -> None:
        """Hide while a training runs, which goes on; close otherwise."""
        if self._job is not None:
            self.hide()
        else:
            super().reject()
