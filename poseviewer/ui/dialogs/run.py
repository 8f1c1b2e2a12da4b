"""The run panel: what to run with, on which frames, how it goes, and the runs before."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from poseviewer.core.errors import KnownError
from poseviewer.core.framerange import frame_range_text, parse_frames
from poseviewer.pipeline.config import PipelineConfig, check_config, check_weights
from poseviewer.ui.dialogs.base import Dialog, Rule, ScrolledPart
from poseviewer.ui.dialogs.run_progress import RunProgress
from poseviewer.ui.dialogs.run_settings import RunSettings
from poseviewer.ui.panels.widgets import Heading, Label, Segments
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.core.changes import Changes
    from poseviewer.project import RunRow
    from poseviewer.ui.desk import Desk

OUTCOMES = {"running": "running", "done": "done", "cancelled": "cancelled", "error": "stopped by an error"}


class RunDialog(Dialog):
    """Chooses a configuration and a range, starts the run and follows it. Not modal: scrubbing goes on."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(tr("Run"), 760, parent)
        self.desk = desk
        self.settings = RunSettings(desk.config, partial(desk.start_job, tell_errors=False))
        self.settings.changed.connect(self._say_problem)
        self.progress = RunProgress()
        self.progress.cancel.clicked.connect(self._cancel)
        self.range = Segments(
            tr("Frames"),
            (("all", tr("All")), ("range", tr("Range")), ("frame", tr("This frame")), ("some", tr("Some"))),
        )
        self.range.chosen.connect(self._choose)
        self.some = QLineEdit()
        self.some.setPlaceholderText("0-99,120")
        self.some.setAccessibleName(tr("Frames, such as 0-99,120"))
        self.some.textEdited.connect(lambda: self._choose("some"))
        self.problem = Label("", token="err", wrap=True)
        self.earlier = _table()
        self.earlier.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.earlier.customContextMenuRequested.connect(self._ask_menu)
        self._rows: list[RunRow] = []
        self._lay_out()
        self.defaults = self.add_button(tr("Defaults"))
        self.defaults.clicked.connect(lambda: self.settings.show_config(PipelineConfig()))
        self.add_button(tr("Close")).clicked.connect(self.close)
        self.start = self.add_button(tr("Run"), primary=True)
        self.start.clicked.connect(self._run)
        desk.running_changed.connect(self._show_state)
        desk.job_event.connect(self.progress.hear)
        desk.job_ended.connect(self._show_earlier)
        desk.changes.connect(self._hear)
        desk.playhead_changed.connect(self._show_range)
        desk.selection_changed.connect(self._show_range)
        desk.project_opened.connect(self._show_all)
        self._choose("range" if desk.playhead.first is not None or desk.playhead.last is not None else "all")
        self._show_all()

    def _lay_out(self) -> None:
        self.body.addWidget(ScrolledPart(self.settings))
        self.body.addWidget(Rule())
        row = QHBoxLayout()
        row.addWidget(Heading(tr("Frames")))
        row.addSpacing(12)
        row.addWidget(self.range)
        row.addWidget(self.some, 1)
        self.body.addLayout(row)
        self.body.addWidget(self.problem)
        self.body.addWidget(self.progress)
        self._earlier_box = QWidget()
        column = QVBoxLayout(self._earlier_box)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(Heading(tr("Earlier runs")))
        row.addStretch(1)
        row.addWidget(Label(tr("Right-click a run to continue or discard it"), size=11, token="t3"))
        column.addLayout(row)
        column.addWidget(self.earlier)
        self.body.addWidget(self._earlier_box, 1)

    def frames(self) -> list[int]:
        """Return the chosen frames.

        Raises:
            CallError: if the text of "Some" is no frame list.
        """
        count = self.desk.info.frame_count if self.desk.info is not None else 0
        if self._chosen == "frame":
            return [self.desk.selection.frame]
        if self._chosen == "range":
            return list(self.desk.range_frames())
        if self._chosen == "some":
            return list(parse_frames(self.some.text(), count))
        return list(range(count))

    def _choose(self, key: str) -> None:
        self._chosen = key
        self.range.choose(key)
        self._show_range()

    def _show_range(self) -> None:
        if self._chosen != "some":
            self.some.setText(frame_range_text(self.frames()))
        self._say_problem()

    def _say_problem(self) -> None:
        problem = ""
        try:
            check_config(self.settings.config())
            check_weights(self.settings.config())
            if not self.frames():
                problem = tr("There is no frame to run.")
        except KnownError as error:
            problem = tr_sentence(error.sentence)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.start.setEnabled(not problem and not self.desk.running and self.desk.editable)

    def _run(self) -> None:
        self.desk.set_config(self.settings.config())
        self.desk.run(self.frames())

    def _cancel(self) -> None:
        self.progress.cancel.setEnabled(False)
        self.progress.left.setText(tr("Cancelling"))
        self.desk.cancel_run()

    def _show_state(self) -> None:
        running = self.desk.running
        if running and not self.progress.isVisibleTo(self):
            self.progress.begin()
        self.settings.setEnabled(not running)
        self.progress.setVisible(running)
        self._say_problem()

    def _show_all(self) -> None:
        self.progress.setVisible(self.desk.running)
        self._show_state()
        self._show_range()
        self._show_earlier()

    def _hear(self, changes: Changes) -> None:
        """Show a run as soon as it is begun or taken up again."""
        if changes.touches("runs"):
            self._show_earlier()

    def _show_earlier(self) -> None:
        project, media = self.desk.project, self.desk.media_id
        rows: list[RunRow] = (
            sorted(project.runs(media), key=lambda run: -run.id) if project is not None and media is not None else []
        )
        self._earlier_box.setVisible(bool(rows))
        self._rows = rows
        self.earlier.setRowCount(len(rows))
        for number, run in enumerate(rows):
            for column, text in enumerate(run_words(run)):
                item = QTableWidgetItem(text)
                item.setToolTip(run.note or text)
                self.earlier.setItem(number, column, item)

    def _ask_menu(self, place: QPoint) -> None:
        row = self.earlier.rowAt(place.y())
        if row >= 0:
            self.earlier.selectRow(row)
            self.menu(row).popup(self.earlier.viewport().mapToGlobal(place))

    def menu(self, row: int) -> QMenu:
        """Return what can be done with the earlier run in a row of the list."""
        from poseviewer.jobs.continuing import can_continue

        run, project = self._rows[row], self.desk.project
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        goes_on = menu.addAction(tr("Continue"))
        idle = project is not None and not self.desk.running and self.desk.editable
        goes_on.setEnabled(idle and project is not None and can_continue(project, run))
        goes_on.triggered.connect(lambda: self._continue(run))
        menu.addSeparator()
        gone = menu.addAction(tr("Discard…"))
        gone.setEnabled(self.desk.runs.may_discard(run.id))
        gone.triggered.connect(lambda: self.ask_discard(run))
        return menu

    def _continue(self, run: RunRow) -> None:
        if self.desk.project is not None:
            self.desk.runs.run(list(self.desk.project.unfinished(run.id)), continued=run)

    def ask_discard(self, run: RunRow) -> None:
        """Ask once, then discard an earlier run."""
        box = QMessageBox(QMessageBox.Icon.Question, tr("Discard run {n}", n=run.id), "", parent=self)
        words = tr("Discard what run {n} found in {count} frames?", n=run.id, count=run.done_count)
        if run.done_count == 1:
            words = tr("Discard what run {n} found in one frame?", n=run.id)
        box.setText(words)
        box.setInformativeText(tr("Corrections stay, and undo still works. The predictions cannot be brought back."))
        yes = box.addButton(tr("Discard"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.buttonClicked.connect(lambda button: self._discard(run.id) if button is yes else None)
        self.question = box
        box.open()

    def _discard(self, run: int) -> None:
        thread = self.desk.runs.discard(run)
        if thread is not None:
            thread.finished.connect(self._show_earlier)


def run_words(run: Any) -> tuple[str, str, str, str, str]:
    """Return number, start, networks, frames and outcome of an earlier run in words."""
    parts = (run.networks.get(part) for part in ("detector", "estimator"))
    networks = " + ".join(str(part["name"]) for part in parts if isinstance(part, dict) and part.get("name"))
    frames = str(run.frame_count) if run.done_count == run.frame_count else f"{run.done_count} / {run.frame_count}"
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    return str(run.id), started, networks, frames, tr(OUTCOMES.get(run.outcome, run.outcome))


def _table() -> QTableWidget:
    table = QTableWidget(0, 5)
    table.setHorizontalHeaderLabels([tr("Run"), tr("Started"), tr("Networks"), tr("Frames"), tr("Outcome")])
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(22)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    header = table.horizontalHeader()
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setMinimumSectionSize(24)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
    table.setMinimumHeight(96)
    table.setAccessibleName(tr("Earlier runs"))
    return table
