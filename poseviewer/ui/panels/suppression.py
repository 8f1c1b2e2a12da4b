"""Why did this person vanish or appear twice? Candidates, who removed whom and why, and what other limits would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QVBoxLayout, QWidget

from poseviewer.core.values import KEPT, Evidence, Suppression
from poseviewer.ops.nms_config import WHOLE_BODY, NmsConfig
from poseviewer.pipeline.config import applied_nms, with_nms
from poseviewer.ui.panels.candidatepicture import CandidatePicture
from poseviewer.ui.panels.candidatestable import LEAST_ROWS, ROW, CandidatesTable
from poseviewer.ui.panels.evidence_panel import EvidencePanel
from poseviewer.ui.panels.limit import ASK_MS, Limit
from poseviewer.ui.panels.similaritystrip import SimilarityStrip
from poseviewer.ui.panels.verdicts import (
    CandidateRow,
    candidate_rows,
    form_words,
    reason_words,
    summary_words,
    warnings,
    what_if_words,
)
from poseviewer.ui.panels.widgets import MARGIN, Card, Heading, Label, SmallButton, row, scaled
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

LOWEST = 96
"""Least height of the picture, logical pixels."""
ROOMY = 470
"""Logical pixels of the panel's height from which on the similarities are drawn above their sliders."""


class SuppressionPanel(EvidencePanel):
    """Why did this person vanish or appear twice?"""

    has_foot = True

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        question = tr("Why did this person vanish or appear twice?")
        super().__init__(desk, tr("Suppression"), question, "person", parent)
        self.picture = CandidatePicture()
        self.cards = [Card(warning=True) for _ in range(3)]
        self.summary = Label("", token="t2", wrap=True)
        self.table = CandidatesTable()
        self.reason = Label("", size=11, token="t2", wrap=True)
        self.strip = SimilarityStrip()
        self.limits = (
            Limit(self.limits_moved, "gamma", tr("Pose similarity"), 0.1, 2),
            Limit(self.limits_moved, "match_threshold", tr("Matched joints"), 1.0, 0),
            Limit(self.limits_moved, "score_floor", tr("Score floor"), 0.01, 2),
        )
        self.form = Label("", size=11, token="t3", wrap=True)
        self.answer = Label("", token="t2", wrap=True)
        self.reset = SmallButton(tr("As in the run"), flat=True)
        self.use = SmallButton(tr("Use for the next run"), "run")
        self._run = NmsConfig()
        self._touched = False
        self._asked: tuple[int, NmsConfig] | None = None
        self._selected: int | None = None
        self._selected_for: object = None
        self._ask = QTimer(self, singleShot=True, interval=ASK_MS)
        self._ask.timeout.connect(self._ask_now)
        self._lay_out()
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        desk = self.desk
        self.picture.chosen.connect(self.choose)
        self.table.chosen.connect(self.choose)
        self.strip.dragged.connect(self._drag_gamma)
        self.reset.clicked.connect(self.reset_limits)
        self.use.clicked.connect(self.use_limits)
        for signal in (desk.what_if_changed, desk.frame_changed, desk.config_changed):
            signal.connect(self.mark)

    def _lay_out(self) -> None:
        self.body.addWidget(self.picture)
        for card in self.cards:
            card.hide()
            self.body.addWidget(card)
        head = row(Heading(tr("Candidates")), self.summary)
        head.setStretch(1, 1)
        self.body.addLayout(head)
        self.body.addWidget(self.table)
        self.body.addWidget(self.reason)
        self.body.addWidget(self.form)
        self.body.addStretch(1)
        self._lay_out_foot()

    def _lay_out_foot(self) -> None:
        """The thresholds stay in sight while the candidates scroll."""
        foot = QVBoxLayout(self.foot)
        foot.setContentsMargins(MARGIN, 4, MARGIN, MARGIN)
        foot.setSpacing(8)
        foot.addLayout(row(Heading(tr("What if")), None, self.reset))
        foot.addWidget(self.strip)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        for line, limit in enumerate(self.limits):
            grid.addWidget(limit.label, line, 0)
            grid.addWidget(limit.slider, line, 1)
            grid.addWidget(limit.box, line, 2)
        grid.setColumnStretch(1, 1)
        foot.addLayout(grid)
        self._last = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._last.setSpacing(8)
        self._last.addWidget(self.answer, 1)
        self._last.addWidget(self.use, 0)
        foot.addLayout(self._last)

    def fit(self, width: int) -> None:
        """Put the button below the answer, and show fewer candidates at once, where there is little room."""
        way = QBoxLayout.Direction
        # Headings and the line about the selected candidate need about this much beside picture, warnings and table.
        room = self._scroll.viewport().height() - scaled(145)
        room -= sum(card.sizeHint().height() + 8 for card in self.cards if not card.isHidden())
        self.picture.limit_height(max(room - LEAST_ROWS * scaled(ROW), scaled(LOWEST)))
        self.table.set_most((room - self.picture.heightForWidth(width)) // scaled(ROW))
        self._show_strip()
        self._last.setDirection(way.LeftToRight if width >= scaled(310) else way.TopToBottom)

    # --- showing ---

    @property
    def nms(self) -> NmsConfig:
        """The run's thresholds with those of the sliders in their place.

        A threshold that was moved switches on a suppression that was off, which else would change nothing.
        """
        moved = msgspec.structs.replace(self._run, **{limit.field: limit.value for limit in self.limits})
        return moved if moved == self._run else msgspec.structs.replace(moved, enabled=True)

    def show_evidence(self, evidence: Evidence) -> bool:
        """Show the candidates of the selected frame."""
        desk = self.desk
        if not len(evidence.candidates.scores):
            self.say_empty(tr("The detector found nobody in this frame"), tr("Draw a box around a person"), "B")
            return False
        self._follow_run(applied_nms(desk.evidence_config()))
        self._ask_if_due(evidence)
        original = evidence.suppression
        shown = desk.what_if[0] if desk.what_if is not None and self._touched else original
        self._follow_selection(evidence)
        nms = self.nms if shown is not original else self._run
        rows = candidate_rows(evidence.candidates, shown, original, by_joints=self._by_joints)
        frame = desk.frame if desk.frame_exact else None
        self.picture.show_candidates(frame, evidence.candidates, shown, self._selected)
        self.table.show_rows(rows, shown, nms, self._selected)
        self.summary.setText(summary_words(shown))
        beyond = self._run.gamma * 1.4 if self._by_joints else 1.0
        top = max(beyond, self.nms.gamma, *(row_.similarity * 1.05 for row_ in rows))
        self.strip.show_rows(rows, shown, self.nms.gamma, top, self._selected)
        chosen = next((entry for entry in rows if entry.index == self._selected), None)
        words = self._reason(chosen, nms) if chosen is not None else ""
        self.reason.setText(words)
        self.reason.setVisible(bool(words))
        if self._show_warnings(evidence):
            self.fit_again()
        self._show_answer(original, shown)
        return True

    @property
    def _by_joints(self) -> bool:
        """Whether pose NMS decided, rather than boxes or the score alone."""
        return self._run.version not in ("box", "none")

    def _reason(self, entry: CandidateRow, nms: NmsConfig) -> str:
        """Return why a candidate stayed or went, with the person it became."""
        why = reason_words(entry, nms)
        person = next((p for p in self.desk.people if self.desk.candidate_of(p.key) == entry.index), None)
        if person is None or entry.outcome != KEPT:
            return tr("{number}: {why}.", number=entry.number, why=why)
        place = self.desk.person_number(person.key)
        return tr("{number}, person {person}: {why}.", number=entry.number, person=place, why=why)

    def _show_warnings(self, evidence: Evidence) -> bool:
        """Show what is noticeable; return whether other cards are there than before."""
        before = [card.isHidden() for card in self.cards]
        found = warnings(evidence.candidates, evidence.suppression, self.desk.skeleton, self._run)
        for place, card in enumerate(self.cards):
            card.setVisible(place < len(found))
            if place < len(found):
                card.text.setText(found[place])
        return before != [card.isHidden() for card in self.cards]

    def _show_answer(self, original: Suppression, shown: Suppression) -> None:
        changed = self.nms != self._run
        self.reset.setVisible(changed)
        same_pipeline = self.desk.config.pipeline == self.desk.evidence_config().pipeline
        self.use.setEnabled(same_pipeline and self.nms != applied_nms(self.desk.config))
        if not changed:
            self.answer.setText(tr("Move a threshold to see what changes"))
        elif shown is not original:
            self.answer.setText(what_if_words(original, shown, self.nms, self._run))

    def _follow_run(self, run: NmsConfig) -> None:
        """Take the thresholds of the run that made this evidence, unless a person moved them."""
        whole_body = self.desk.skeleton.count in WHOLE_BODY and run.version == "master"
        count = self.desk.skeleton.count
        most = 10.0 if whole_body else count * (1.0 + run.mu)
        gamma = 1.0 if run.version in ("box", "none") else max(most, run.gamma * 1.4)
        for limit, top in zip(self.limits, (gamma, count + 1.0, 1.0), strict=True):
            limit.set_range(top)
            if not self._touched:
                limit.show_value(getattr(run, limit.field))
        self._run = run
        similarity, matches, floor = self.limits
        if self._by_joints:
            similarity.show_name(tr("Pose similarity"), 0.1)
            floor.show_name(tr("Score floor"), 0.01)
        else:
            similarity.show_name(tr("Box overlap (IoU)"), 0.01)
            floor.show_name(tr("Least score"), 0.01)
        similarity.set_visible(shown=run.version != "none")
        matches.set_visible(shown=self._by_joints)
        self._show_strip()
        self.form.setText(form_words(run, count))
        self.form.setVisible(self._by_joints)
        self.table.show_matches(shown=self._by_joints)

    def _show_strip(self) -> None:
        """The sliders are enough where there is little room; without a similarity nothing lies on the strip."""
        self.strip.setVisible(self.height() >= scaled(ROOMY) and self._run.version != "none")

    def _follow_selection(self, evidence: Evidence) -> None:
        """Show the selected person's candidate; a removed one that was clicked stays until the selection changes."""
        selection = (id(evidence), self.desk.selection.person)
        if selection != self._selected_for:
            self._selected_for = selection
            key = self.desk.selection.person
            self._selected = self.desk.candidate_of(key) if key is not None else None

    # --- what a person does ---

    def choose(self, candidate: int) -> None:
        """Select a candidate, and the person it became if it was kept."""
        self._selected = candidate
        person = next((p for p in self.desk.people if self.desk.candidate_of(p.key) == candidate), None)
        result = self.desk.evidence
        kept = result is not None and result.evidence is not None and candidate in result.evidence.suppression.kept
        if person is not None and kept and person.key != self.desk.selection.person:
            self.desk.select(person=person.key)
        self.mark()

    def limits_moved(self) -> None:
        """Ask soon what the moved thresholds would do."""
        self._touched = self.nms != self._run
        if not self._ask.isActive():
            self._ask.start()
        self.mark()

    def _drag_gamma(self, value: float) -> None:
        self.limits[0].show_value(value)
        self.limits_moved()

    def _ask_now(self) -> None:
        result = self.desk.evidence
        if result is not None and result.evidence is not None:
            self._asked = (id(result.evidence), self.nms)
            self.desk.what_if_nms(self.nms)

    def _ask_if_due(self, evidence: Evidence) -> None:
        """Ask again for a new frame's candidates while other thresholds are tried."""
        if self._touched and self._asked != (id(evidence), self.nms) and not self._ask.isActive():
            self._ask.start()

    def reset_limits(self) -> None:
        """Go back to the run's thresholds."""
        self._touched = False
        for limit in self.limits:
            limit.show_value(getattr(self._run, limit.field))
        self.mark()

    def use_limits(self) -> None:
        """Use these thresholds for the next run."""
        self.desk.set_config(with_nms(self.desk.config, self.nms))
