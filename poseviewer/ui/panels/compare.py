"""What changed between these two? Two runs, or a run and what stands on screen with its corrections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from poseviewer.core.changes import Changes
from poseviewer.evaluation.agreement import (
    ON_SCREEN,
    Answer,
    Pair,
    answers,
    answers_of,
    pair_of,
    pair_with,
    pairs,
)
from poseviewer.ui.messages import Message
from poseviewer.ui.panels.compareviews import (
    DIFFERENT,
    AgreementPlot,
    DistanceTable,
    PairPicture,
    SideKey,
    joint_distances,
)
from poseviewer.ui.panels.evidence_panel import EvidencePanel
from poseviewer.ui.panels.widgets import MARGIN, Choice, Figure, Heading, IconButton, Label, SmallButton, row
from poseviewer.ui.text import tr, tr_joint_set
from poseviewer.ui.threads import JobThread

if TYPE_CHECKING:
    from poseviewer.project import Project
    from poseviewer.project.rows import RunRow
    from poseviewer.ui.desk import Desk

AROUND = 40
"""Frames before and after the playhead whose agreement is drawn, where no range is marked."""
MOST = 400
"""Of a marked range so many frames at most, around the playhead."""
REST_MS = 250
"""Agreement of other frames is read once the playhead rests."""


class ComparePanel(EvidencePanel):
    """What changed between these two?

    Attributes:
        first, second: the choices; their data are run numbers, or ON_SCREEN.
        values: frame -> agreement, as far as it was read for the two that are chosen.
    """

    has_foot = True

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, tr("Compare"), tr("What changed between these two?"), "swap-sides", parent)
        self.first, self.second = Choice(), Choice()
        self.exchange = IconButton("swap-sides", tr("Exchange the two"))
        self.picture = PairPicture()
        self.oks, self.mean = Figure(tr("OKS")), Figure(tr("Mean distance"))
        self.seen = Figure(tr("Seen differently"))
        self.alone = Label("", size=11, token="warn", wrap=True)
        self.table = DistanceTable()
        self.plot = AgreementPlot()
        self.span_words = Label("", size=11, token="t2")
        self.remark = Label("", size=11, token="t2", wrap=True)
        self.next = SmallButton(tr("Next difference"), "flag")
        self.values: dict[int, float] = {}
        self._runs: tuple[tuple[int, str], ...] = ()
        self._by_hand = False
        self._reading: JobThread | None = None
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._lay_out()
        self._connect()
        self.refresh()

    def _lay_out(self) -> None:
        self.first.setAccessibleName(tr("First of the two"))
        self.second.setAccessibleName(tr("Second of the two"))
        for choice in (self.first, self.second):
            choice.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            choice.setMinimumContentsLength(8)
        chooser = QVBoxLayout()
        chooser.setSpacing(6)
        for letter, key, choice in (("A", SideKey(first=True), self.first), ("B", SideKey(first=False), self.second)):
            line = row(Label(letter, weight=600), key, choice, spacing=6)
            line.setStretch(2, 1)
            chooser.addLayout(line)
        both = row(spacing=6)
        both.addLayout(chooser, 1)
        both.addWidget(self.exchange, 0, Qt.AlignmentFlag.AlignVCenter)
        self.body.addLayout(both)
        self.body.addWidget(self.picture)
        figures = row(self.oks, self.mean, self.seen, spacing=10)
        self.body.addLayout(figures)
        self.body.addWidget(self.alone)
        self.body.addWidget(Heading(tr("Joints by distance")))
        self.body.addWidget(self.table)
        head = row(Heading(tr("Agreement over frames")), None, self.span_words)
        self.body.addLayout(head)
        self.body.addWidget(self.plot)
        self.body.addStretch(1)
        foot = QVBoxLayout(self.foot)
        foot.setContentsMargins(MARGIN, 4, MARGIN, 10)
        line = row(self.remark, self.next, spacing=8)
        line.setStretch(0, 1)
        foot.addLayout(line)

    def _connect(self) -> None:
        desk = self.desk
        for choice in (self.first, self.second):
            choice.activated.connect(self._chosen)
        self.exchange.clicked.connect(self._exchange)
        self.table.picked.connect(lambda joint: desk.select(joint=joint))
        self.plot.picked.connect(lambda frame: desk.select(frame=frame))
        self.next.clicked.connect(self.go_on)
        self._rest.timeout.connect(self._read_around)
        desk.project_opened.connect(self._opened)
        desk.changes.connect(self._hear)
        desk.frame_changed.connect(self.mark)
        desk.action_requested.connect(self._act)

    # --- which two ---

    def sides(self) -> tuple[int, int]:
        """Return the two that are compared: run numbers, or ON_SCREEN."""
        return _data(self.first), _data(self.second)

    def compare(self, first: int, second: int) -> None:
        """Compare these two from now on."""
        self._by_hand = True
        for choice, run in ((self.first, first), (self.second, second)):
            choice.setCurrentIndex(max(choice.findData(run), 0))
        self._other_sides()

    def _chosen(self) -> None:
        self._by_hand = True
        self._other_sides()

    def _exchange(self) -> None:
        first, second = self.sides()
        self.compare(second, first)

    def _other_sides(self) -> None:
        self.values = {}
        self.refresh()

    def _opened(self) -> None:
        self._by_hand = False
        self._runs = ()
        self.values = {}
        self.mark()

    def _hear(self, changes: Changes) -> None:
        """Forget what was read of frames that changed; runs come and go."""
        if changes.frames is None:
            self.values = {}
        for frame in changes.frames or ():
            self.values.pop(frame, None)
        self.mark()

    def _list_runs(self, runs: Sequence[RunRow]) -> None:
        """Offer the runs, newest first, and what is on screen; keep what a person chose while it is there."""
        listed = (*((run.id, run_name(run)) for run in sorted(runs, key=lambda run: -run.id)),)
        if listed == self._runs:
            return
        self._runs = listed
        kept = self.sides() if self._by_hand else default_sides([run for run, _ in listed])
        offered = (*listed, (ON_SCREEN, tr("On screen")))
        for choice, run in zip((self.first, self.second), kept, strict=True):
            choice.clear()
            for number, name in offered:
                choice.addItem(name, number)
            choice.setCurrentIndex(max(choice.findData(run), 0))
        self.values = {}

    # --- what is shown ---

    def refresh(self) -> None:
        """Show the selected person as both have them; without one, the person about whom they differ most."""
        desk = self.desk
        if desk.info is None or desk.project is None or desk.media_id is None:
            self.say_empty(tr("Nothing is open"), tr("Open a video, pictures or a project"), "Ctrl+O")
            return
        runs = [run for run in desk.project.runs(desk.media_id) if run.done_count]
        if not runs:
            self.say_empty(tr("There is nothing to compare yet"), tr("Run this frame"), "R")
            return
        self._list_runs(runs)
        found = self._pairs()
        if not found:
            # The choices stay in reach.
            self._show_pair(None)
        else:
            self._show_pair(self._pair(found), found)
        self.pages.setCurrentIndex(1)
        self._rest.start()

    def _pairs(self) -> tuple[Pair, ...]:
        first, second = (self._answers(side) for side in self.sides())
        return pairs(first, second, self.desk.skeleton)

    def _answers(self, side: int) -> tuple[Answer, ...]:
        desk = self.desk
        if side == ON_SCREEN:
            return answers_of(desk.people)
        if desk.project is None or desk.media_id is None:
            return ()
        return answers(desk.project, desk.media_id, desk.selection.frame, side)

    def _pair(self, found: Sequence[Pair]) -> Pair | None:
        person = self.desk.person
        if person is not None:
            return pair_with(Answer(person.pose, person.visibility), found, self.desk.skeleton)
        return min(found, key=lambda pair: pair.oks)

    def _show_pair(self, pair: Pair | None, found: Sequence[Pair] = ()) -> None:
        desk = self.desk
        shown = pair if pair is not None else pair_of(None, None, desk.skeleton)
        self.picture.setVisible(pair is not None)
        self.picture.show_pair(desk.frame if desk.frame_exact else None, shown, desk.skeleton, desk.joint)
        both = shown.first is not None and shown.second is not None
        self.oks.show_value(
            f"{shown.oks:.3f}" if both else "–", token="warn" if both and shown.oks < DIFFERENT else "t1"
        )
        mean = shown.mean_distance
        self.mean.show_value(f"{mean:.1f}" if np.isfinite(mean) else "–", unit="px" if np.isfinite(mean) else "")
        joints = int(np.isfinite(shown.joint_oks).sum())
        self.seen.show_value(str(shown.seen_differently) if both else "–", unit=tr("of {n}", n=joints) if both else "")
        words = self._alone_words(pair, found)
        self.alone.setText(words)
        self.alone.setVisible(bool(words))
        self.table.show_rows(joint_distances(shown, desk.skeleton), desk.joint)
        self._show_remark(pair)
        self._show_plot()

    def _alone_words(self, pair: Pair | None, found: Sequence[Pair]) -> str:
        """Say who is missing: the person in question, or others whom only one of the two has."""
        if not found:
            return tr("Neither has anybody in this frame.")
        if pair is None:
            return tr("Neither has the selected person.")
        if pair.first is None or pair.second is None:
            return tr("Only {letter} has this person.", letter="B" if pair.first is None else "A")
        parts = []
        alone = (("A", [one.second is None for one in found]), ("B", [one.first is None for one in found]))
        for letter, count in ((letter, sum(flags)) for letter, flags in alone):
            if count == 1:
                parts.append(tr("1 person only in {letter}", letter=letter))
            elif count:
                parts.append(tr("{n} people only in {letter}", n=count, letter=letter))
        return "; ".join(parts)

    def _show_remark(self, pair: Pair | None) -> None:
        self.remark.setText("")
        if pair is None:
            return
        person = self.desk.person
        words = tr("OKS with the sigmas of {name}", name=tr_joint_set(self.desk.skeleton.title))
        if person is None:
            words = tr("The person about whom they differ most")
        self.remark.setText(words)

    # --- other frames ---

    def span(self) -> tuple[int, int]:
        """Return the frames whose agreement is drawn: of the marked range, or those around the playhead."""
        desk = self.desk
        count = desk.info.frame_count if desk.info is not None else 1
        now, most = desk.selection.frame, AROUND
        low, high = 0, max(count - 1, 0)
        if desk.playhead.first is not None or desk.playhead.last is not None:
            low, high = desk.playhead.span(count)
            most = MOST // 2
        low, high = min(low, now), max(high, now)
        return max(low, min(now - most, high - 2 * most)), min(high, max(now + most, low + 2 * most))

    def _show_plot(self) -> None:
        first, last = self.span()
        self.plot.show_values(self.values, (first, last), self.desk.selection.frame)
        self.span_words.setText(tr("frames {first} to {last}", first=first, last=last))

    def _read_around(self) -> None:
        """Read what is not known yet of the frames that are drawn, in the background."""
        desk = self.desk
        if not self.isVisible() or self._reading is not None or desk.project is None or desk.media_id is None:
            return
        first, last = self.span()
        missing = [frame for frame in range(first, last + 1) if frame not in self.values]
        if missing:
            self._read(missing, None)

    def _read(self, frames: Sequence[int], below: float | None) -> JobThread | None:
        from poseviewer.jobs.agreeing import agree

        desk, sides, place = self.desk, self.sides(), self._place()
        project, media = place
        if project is None or media is None:
            return None
        values = self.values
        thread = desk.start_job(agree(project, media, frames, *sides, below=below), tell_errors=False)
        self._reading = thread

        def take(found: dict[int, float]) -> None:
            # Another choice, another media or a change of these frames began a new table.
            if self.values is values and self._place() == place and self.sides() == sides:
                values.update(found)
                self._show_plot()

        thread.result.connect(take)
        # Of a project that was closed meanwhile nothing can be read, and nobody waits for it.
        thread.error.connect(lambda error: desk.tell_error(error) if self._place() == place else None)
        thread.finished.connect(self._read_ended)
        return thread

    def _place(self) -> tuple[Project | None, int | None]:
        return self.desk.project, self.desk.media_id

    def _read_ended(self) -> None:
        self._reading = None
        self._rest.start()

    def _act(self, action_id: str) -> None:
        if action_id == "next_difference":
            self.go_on()

    def go_on(self) -> None:
        """Go to the next frame in which the two differ."""
        desk = self.desk
        if desk.info is None or desk.project is None or desk.media_id is None:
            return
        self.flush()
        if not self._runs:
            desk.tell(Message(tr("There is nothing to compare yet"), tr("Run this frame with R."), key="difference"))
            return
        thread = self._read(range(desk.selection.frame + 1, desk.info.frame_count), DIFFERENT)
        place = self._place()
        if thread is not None:
            thread.result.connect(lambda found: self._go_to(found) if self._place() == place else None)

    def _go_to(self, found: dict[int, float]) -> None:
        last = next(reversed(found), None)
        if last is not None and found[last] < DIFFERENT:
            self.desk.select(frame=last)
        else:
            self.desk.tell(Message(tr("The two agree in all frames after this one."), key="difference"))


def _data(choice: Choice) -> int:
    data: Any = choice.currentData()
    return int(data) if data is not None else ON_SCREEN


def default_sides(runs: Sequence[int]) -> tuple[int, int]:
    """Return what is compared first of ``runs``, newest first: the last two, or the only one with the corrections."""
    if len(runs) > 1:
        return runs[1], runs[0]
    return (runs[0], ON_SCREEN) if runs else (ON_SCREEN, ON_SCREEN)


def run_name(run: RunRow) -> str:
    """Return a run's number, its estimator's name and what sets it apart."""
    words = [tr("Run {n}", n=run.id)]
    estimator = run.networks.get("estimator")
    if isinstance(estimator, dict) and estimator.get("name"):
        words.append(str(estimator["name"]).removesuffix(".safetensors"))
    if run.config.get("stn") is False:
        words.append(tr("STN off"))
    return " · ".join(words)
