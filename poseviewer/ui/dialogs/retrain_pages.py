"""The three pages of the retrain dialog: what to learn from, how it goes, what it gained."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from poseviewer.core.progress import JobEvent, Note, Point, Progress
from poseviewer.training.holdout import HoldOut
from poseviewer.training.results import Comparison, WorstFrame, place_of
from poseviewer.ui.dialogs.base import Fields
from poseviewer.ui.dialogs.retrain_parts import AP, LOSS, PCK, BeforeAfter, CurvePlot, verdict
from poseviewer.ui.dialogs.time_left import TimeLeft
from poseviewer.ui.durations import time_left
from poseviewer.ui.panels.widgets import Card, Choice, Heading, Label, NumberField, SmallButton
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.jobs.retrain import RetrainOrder, RetrainOutcome
    from poseviewer.ui.desk import Desk

LONGEST_MIN = 24 * 60.0
USUAL_MIN = 10.0
LAST, NOTHING, RANGE = "last", "nothing", "range"


class RetrainSetup(QWidget):
    """What to learn from, what to hold out, how long, from which weights.

    Signals:
        changed: something else is chosen.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._counts: dict[str, int] = {}
        self.others: list[Path] = []
        self.learn = Label("", wrap=True)
        self.add = SmallButton(tr("Add a project…"))
        self.add.clicked.connect(self._add)
        self.hold_out = Choice()
        self.hold_out.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.minutes = NumberField(tr("Minutes"), decimals=0, step=5)
        self.minutes.set_top(LONGEST_MIN)
        self.minutes.show_value(USUAL_MIN)
        self.start_from = Label("", wrap=True)
        self.to = Label("", wrap=True)
        self.problem = Label("", token="err", wrap=True)
        self.problem.hide()
        self._lay_out()
        desk.config_changed.connect(self._show_words)
        self.read_project()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        fields = Fields(110)
        learn = QWidget()
        row = QHBoxLayout(learn)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.learn, 1)
        row.addWidget(self.add, 0, Qt.AlignmentFlag.AlignTop)
        fields.add(tr("Learn from"), learn)
        fields.add(tr("Hold out"), self.hold_out, tr("Never learnt from: old and new weights are compared on them"))
        fields.add(tr("Minutes"), self.minutes, tr("Ten minutes on a processor do for twenty frames"))
        fields.add(tr("Begin with"), self.start_from)
        fields.add(tr("Device"), Label(self._desk.config.device))
        fields.add(tr("To"), self.to)
        column.addLayout(fields)
        column.addWidget(self.problem)
        column.addStretch(1)

    def read_project(self) -> None:
        """Count the corrections and offer what can be held out."""
        from poseviewer.jobs.retrain import corrected_counts

        self.say("")
        project = self._desk.project
        self._counts = corrected_counts(project) if project is not None else {}
        self.hold_out.clear()
        self.hold_out.addItem(tr("the last quarter of each media's corrected frames"), LAST)
        if len(self._counts) > 1:
            for name, count in self._counts.items():
                words = tr("{name}, all {count} corrected frames", name=name, count=count)
                if count == 1:
                    words = tr("{name}, its one corrected frame", name=name)
                self.hold_out.addItem(words, name)
        if span := self._range():
            name, first, last = span
            self.hold_out.addItem(tr("frames {first} to {last} of {name}", first=first, last=last, name=name), RANGE)
        self.hold_out.addItem(tr("nothing"), NOTHING)
        self._show_words()
        self.changed.emit()

    def _range(self) -> tuple[str, int, int] | None:
        """The marked range of the open media, if it has corrected frames."""
        from poseviewer.jobs.retrain import unique_names

        desk = self._desk
        if desk.project is None or desk.media_id is None or desk.playhead.first is None or desk.playhead.last is None:
            return None
        name = unique_names(desk.project.media_list()).get(desk.media_id, "")
        frames = desk.range_frames()
        return (name, frames[0], frames[-1]) if name in self._counts and len(frames) else None

    def _show_words(self) -> None:
        self.learn.setText(self.words())
        estimator = self._desk.config.estimator
        self.start_from.setText(Path(estimator).name if estimator else tr("bundled weights"))
        self.to.setText(str(self.folder()))

    def words(self) -> str:
        """What is learnt from, in words."""
        frames = sum(self._counts.values())
        named = ", ".join(f"{name} ({count})" for name, count in self._counts.items())
        words = tr("no corrected frame")
        if frames:
            words = tr("{count} corrected frames: {names}", count=frames, names=named)
            if frames == 1:
                words = tr("1 corrected frame: {names}", names=named)
        return words + "".join(f"\n{path.name}" for path in self.others)

    def folder(self) -> Path:
        """Where the new weights go: beside the project, named by the moment."""
        project = self._desk.project
        place = Path(project.path) if project is not None else Path.cwd() / "project"
        folder = place.with_name(f"{place.stem}-retrained-{datetime.now():%Y%m%d-%H%M}")
        number = 2
        while folder.exists():
            folder = folder.with_name(f"{folder.name.removesuffix(f'-{number - 1}')}-{number}")
            number += 1
        return folder

    def ready(self) -> bool:
        """Whether there is something to learn from."""
        return sum(self._counts.values()) > 0 and self.minutes.value > 0

    def chosen_hold_out(self) -> HoldOut:
        """What is held out."""
        key = self.hold_out.currentData()
        if key == LAST:
            return HoldOut()
        if key == RANGE and (span := self._range()) is not None:
            return HoldOut(last=0.0, spans=(span,))
        return HoldOut(last=0.0) if key in (NOTHING, RANGE) else HoldOut(last=0.0, media=(str(key),))

    def order(self) -> RetrainOrder:
        """Return what is chosen."""
        from poseviewer.jobs.retrain import RetrainOrder

        config = self._desk.config
        return RetrainOrder(
            self.folder(),
            config.estimator,
            self.minutes.value,
            self.chosen_hold_out(),
            config.device,
            tuple(self.others),
        )

    def say(self, problem: str) -> None:
        """Say why the training ended, or nothing."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    def _add(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, tr("Add a project"), "", tr("Projects (*.poseproj)"))
        own = Path(self._desk.project.path) if self._desk.project is not None else None
        self.others += [path for path in map(Path, names) if path != own and path not in self.others]
        self._show_words()
        self.changed.emit()


class RetrainRunning(TimeLeft):
    """Time left, curves, a pause, and the two ways to end it."""

    def __init__(self) -> None:
        super().__init__(spacing=8)
        self.about = Label("", token="t2", wrap=True)
        self.pause = SmallButton(tr("Pause"), "pause")
        self.go_on = SmallButton(tr("Continue"), "play")
        self.paused = False
        self._left = ""
        self._ending = False
        self.stop = SmallButton(tr("Stop and keep"), "stop")
        self.cancel = SmallButton(tr("Cancel"), "close")
        self.loss = CurvePlot(tr("Loss"), ((LOSS, "", "accent"),))
        self.held = CurvePlot(tr("Held-out people"), ((PCK, "PCK", "warn"), (AP, "OKS AP", "accent")))
        self.note = Label("", token="t3", wrap=True)
        self._lay_out()

    def _lay_out(self) -> None:
        column = self.column
        row = QHBoxLayout()
        row.addWidget(self.about, 1)
        for button in (self.pause, self.go_on, self.stop, self.cancel):
            row.addWidget(button)
        column.addLayout(row)
        plots = QHBoxLayout()
        plots.setSpacing(16)
        plots.addWidget(self.loss, 1)
        plots.addWidget(self.held, 1)
        column.addLayout(plots)
        column.addWidget(self.note)
        column.addStretch(1)

    def begin(self, about: str) -> None:
        """Start over."""
        self.begin_with(tr("Taking a snapshot"))
        self.about.setText(about)
        self.note.setText("")
        self.loss.clear()
        self.held.clear()
        self._left = ""
        self._ending = False
        self.show_paused(paused=False)
        self._enable(training=False)
        self.cancel.setEnabled(True)

    def hear(self, event: JobEvent) -> None:
        """Show one event of the training."""
        if isinstance(event, Point):
            self.loss.add(event)
            self.held.add(event)
        elif isinstance(event, Progress):
            self._show(event)
        elif isinstance(event, Note):
            self.note.setText(tr_sentence(event.text))

    def _show(self, progress: Progress) -> None:
        self.show_amount(progress)
        training = progress.unit == "%"
        self._enable(training=training and progress.done < progress.total)
        if training and progress.seconds_left is not None:
            self._left = time_left(progress.seconds_left)
            self._show_left()
            self.percent.setText(f"{progress.done} %, {tr_sentence(progress.text)}")

    def _show_left(self) -> None:
        if self._left and not self._ending:
            self.left.setText(tr("Paused, {time}", time=self._left) if self.paused else self._left)

    def _enable(self, *, training: bool) -> None:
        for button in (self.pause, self.go_on, self.stop):
            button.setEnabled(training and not self._ending)

    def show_paused(self, *, paused: bool) -> None:
        """Show that it waits, or goes on; the time left is of training, so it stands still meanwhile."""
        self.paused = paused
        held = self.pause.hasFocus() or self.go_on.hasFocus()
        self.pause.setVisible(not paused)
        self.go_on.setVisible(paused)
        if held:
            (self.go_on if paused else self.pause).setFocus()
        self._show_left()

    def stopping(self) -> None:
        """Show that it ends after its present step."""
        self.show_paused(paused=False)
        self._ending = True
        self._enable(training=False)

    def cancelling(self) -> None:
        """Show that it will end."""
        self.stopping()
        self.left.setText(tr("Cancelling"))
        self.cancel.setEnabled(False)


class RetrainResults(QWidget):
    """Before and after, joint by joint, and the frames that are still worst."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._worst: tuple[WorstFrame, ...] = ()
        self._next = 0
        self.card = Card()
        self.verdict = self.card.text
        self.show_worst = SmallButton(tr("Show worst frames"))
        self.show_worst.clicked.connect(self.look_at_next)
        self.table = BeforeAfter(desk.skeleton)
        self.worst = QListWidget()
        self.worst.setAccessibleName(tr("Worst frames"))
        self.worst.itemClicked.connect(lambda item: self.look_at(self.worst.row(item)))
        self.file = Label("", size=11, token="t2", wrap=True)
        self._lay_out()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = self.card.layout()
        if row is not None:
            row.addWidget(self.show_worst)
        column.addWidget(self.card)
        column.addWidget(Heading(tr("Before and after, held-out people")))
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(self.table)
        area.setMinimumHeight(300)
        column.addWidget(area, 1)
        column.addWidget(Heading(tr("Worst frames")))
        self.worst.setFixedHeight(96)
        column.addWidget(self.worst)
        column.addWidget(self.file)

    def show_outcome(self, outcome: RetrainOutcome) -> None:
        """Show what came of a training."""
        self.file.setText(outcome.weights)
        found = outcome.comparison
        self._next = 0
        self._worst = found.worst if found is not None else ()
        self.worst.clear()
        for frame in self._worst:
            change = f"OKS {frame.oks_before:.3f} → {frame.oks_after:.3f}"
            self.worst.addItem(QListWidgetItem(f"{place_of(frame)}    {change}"))
        self.show_worst.setEnabled(bool(self._worst))
        self.table.setVisible(found is not None)
        if found is None:
            self.verdict.setText(tr("The new weights are written; nothing was held out to compare on."))
            return
        self.verdict.setText(self._words(found))
        self.table.show_comparison(found)

    def _words(self, found: Comparison) -> str:
        people = tr("{people} held-out people in {frames} frames.", people=found.people, frames=found.frames)
        if found.frames == 1:
            people = tr("{people} held-out people in one frame.", people=found.people)
        if found.people == 1:
            people = tr("One held-out person.")
        notes = " ".join(tr_sentence(note) for note in found.notes)
        return f"<b>{escape(verdict(found))}</b> {escape(people)} {escape(notes)}".rstrip()

    def look_at_next(self) -> None:
        """Show the next of the worst frames in the window, worst first."""
        if self._worst:
            self.look_at(self._next % len(self._worst))

    def look_at(self, number: int) -> None:
        """Show one of the worst frames in the window."""
        from poseviewer.jobs.retrain import unique_names

        frame, project = self._worst[number], self._desk.project
        self.worst.setCurrentRow(number)
        self._next = number + 1
        if project is None or frame.frame is None:
            return
        media = next((n for n, name in unique_names(project.media_list()).items() if name == frame.media), None)
        if media is None:
            return
        if media != self._desk.media_id:
            self._desk.show_media(media, frame.frame)
        else:
            self._desk.select(frame=frame.frame)
