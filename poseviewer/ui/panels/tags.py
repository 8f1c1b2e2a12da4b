"""Why were these joints grouped? The tag of every keypoint, and in one sentence what brought the selected one here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from poseviewer.core.values import Evidence, Grouping
from poseviewer.ui.panels.evidence_panel import EvidencePanel
from poseviewer.ui.panels.limit import ASK_MS, Limit
from poseviewer.ui.panels.tagviews import CallsModel, GroupsModel, TagPicture, TagPlot, TagScene, TagTable
from poseviewer.ui.panels.tagwords import Calls, between_words, group_words, limit_words, reason_words
from poseviewer.ui.panels.widgets import MARGIN, Card, Heading, Label, Segments, SmallButton, Tick, row, scaled
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk


MOST_LIMIT = 3.0
"""Largest tag distance that the slider tries."""
LOWEST = 80
"""Least height of the plot, logical pixels."""


class TagsPanel(EvidencePanel):
    """Why were these joints grouped?"""

    has_foot = True

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, tr("Tags"), tr("Why were these joints grouped?"), "person", parent)
        self.picture = TagPicture()
        self.with_map = Tick(tr("tag map of the joint"))
        self.with_map.setToolTip(tr("Also over the canvas, in place of the heatmap"))
        self.with_map.toggled.connect(lambda shown: desk.show(tag_map=shown))
        self.parts = Segments(tr("Tag"), (("0", tr("plain")), ("1", tr("mirrored"))))
        self.parts.chosen.connect(self._choose_part)
        self.plot = TagPlot()
        self.reason = Card()
        self.warning = Card(warning=True)
        self.groups = TagTable(GroupsModel(), tr("Groups"), named=0, most=6)
        self.calls_heading = Heading(tr("Closest calls"))
        self.closest = TagTable(CallsModel(), tr("Closest calls"), named=2, most=4)
        self.trial = Limit(self.limit_moved, "grouping_limit", tr("Grouping limit"), 0.01, 2)
        self.trial.set_range(MOST_LIMIT)
        self.answer = Label("", size=11, token="t2", wrap=True)
        self.reset = SmallButton(tr("As in the run"), flat=True)
        self.use = SmallButton(tr("Use for the next run"), "run")
        self._run_limit = 1.0
        self._touched = False
        self._asked: tuple[int, float] | None = None
        self._ask = QTimer(self, singleShot=True, interval=ASK_MS)
        self._ask.timeout.connect(self._ask_now)
        self.scene: TagScene | None = None
        self._part = 0
        self._calls: tuple[object, Calls] | None = None
        self._lay_out()
        self._connect()
        self.refresh()

    def _lay_out(self) -> None:
        self.body.addWidget(self.picture)
        self.body.addWidget(self.reason)
        self.body.addLayout(row(Heading(tr("Tag values")), None, self.with_map, spacing=10))
        # A line of its own: beside the others it would be cut in a narrow inspector.
        self.body.addWidget(self.parts)
        self.body.addWidget(self.plot)
        self.body.addWidget(self.warning)
        self.body.addWidget(self.groups)
        self.body.addWidget(self.calls_heading)
        self.body.addWidget(self.closest)
        self.body.addStretch(1)
        foot = QVBoxLayout(self.foot)
        foot.setContentsMargins(MARGIN, 4, MARGIN, MARGIN)
        foot.setSpacing(4)
        line = row(self.trial.label, self.trial.slider, self.trial.box, spacing=10)
        line.setStretch(1, 1)
        foot.addLayout(line)
        foot.addWidget(self.answer)
        foot.addLayout(row(None, self.reset, self.use))

    def fit(self, width: int) -> None:
        """Make the plot lower where there is little room, so that the names below it stay in sight."""
        # The reason and the headings need about this much beside picture and plot.
        room = self._scroll.viewport().height() - self.picture.heightForWidth(width) - scaled(145)
        self.plot.set_height(min(max(room - TagPlot.AXIS, LOWEST), TagPlot.HEIGHT))

    def _connect(self) -> None:
        self.picture.chosen.connect(self.choose)
        self.plot.chosen.connect(self.choose)
        self.groups.picked.connect(self._pick_group)
        self.closest.picked.connect(self._pick_call)
        self.reset.clicked.connect(self.reset_limit)
        self.use.clicked.connect(self.use_limit)
        desk = self.desk
        for signal in (desk.frame_changed, desk.display_changed, desk.what_if_changed, desk.config_changed):
            signal.connect(self.mark)

    # --- showing ---

    def show_evidence(self, evidence: Evidence) -> bool:
        """Show the tags of the selected frame."""
        why = evidence.grouping
        if why is None:
            from poseviewer.pipeline.config import has_bundled_estimator

            self.scene = None
            sentence = tr("There are no tags: this pipeline does not group joints")
            hint = tr("Run a bottom-up network to see them")
            if has_bundled_estimator("bottomup"):
                hint = tr("Choose Bottom-up under Pipeline at the top, then run this frame")
            self.say_empty(sentence, hint)
            return False
        if why.how.shape[1] != self.desk.skeleton.count:
            self.say_empty(tr("The network's joints are not those of this project"))
            return False
        if not len(why.how):
            self.say_empty(tr("Nobody was found in this frame"))
            return False
        scene = self.scene = self._scene(evidence, why)
        dimensions = why.joint_tags.shape[2]
        self._part = min(self._part, dimensions - 1)
        self.parts.setVisible(dimensions > 1)
        self.parts.choose(str(self._part))
        self.with_map.setEnabled(scene.chosen[1] is not None)
        before = self.with_map.blockSignals(True)
        self.with_map.setChecked(self.desk.display.tag_map)
        self.with_map.blockSignals(before)
        frame = self.desk.frame if self.desk.frame_exact else None
        span = self.plot.span(scene, 0)
        self.picture.show_scene(frame, scene, tag_map=self.with_map.isChecked(), span=span)
        self.plot.show_scene(scene, self._part)
        self._show_tables(scene)
        self._show_words(scene)
        self._show_limit(why, scene)
        return True

    def _show_limit(self, why: Grouping, scene: TagScene) -> None:
        """Show the limit of the run, or what the one that is tried would change."""
        self._run_limit = why.limit
        if not self._touched:
            self.trial.show_value(why.limit)
        limit = self.trial.value
        if self._touched and self._asked != (id(why), limit) and not self._ask.isActive():
            self._ask.start()
        self.reset.setVisible(self._touched)
        config = self.desk.config
        of_run = why.limit if self.desk.evidence_config().grouping_limit is None else None
        planned = of_run if config.grouping_limit is None else config.grouping_limit
        self.use.setEnabled(config.pipeline == "bottomup" and limit > 0 and limit != planned)
        tried = self.desk.regrouped
        if not self._touched:
            words = tr("Joints join whose mean tag is nearer than {limit}", limit=f"{why.limit:.2f}")
            self.answer.setText(words)
        elif tried is not None and tried.limit == limit:
            self.answer.setText(limit_words(tried, scene.names, [tr(name) for name in scene.skeleton.joints]))

    def _scene(self, evidence: Evidence, why: Grouping) -> TagScene:
        desk = self.desk
        kept = tuple(int(i) for i in evidence.suppression.kept if i < len(why.how))
        numbers = [0] * len(why.how)
        for person in desk.people:
            candidate = desk.candidate_of(person.key)
            if candidate is not None and candidate < len(numbers):
                numbers[candidate] = desk.person_number(person.key)
        names = tuple(
            tr("person {number}", number=number) if number else tr("candidate {number}", number=place)
            for place, number in enumerate(numbers, 1)
        )
        chosen = desk.candidate_of(desk.selection.person) if desk.selection.person is not None else None
        if chosen is not None and chosen >= len(numbers):
            chosen = None
        key = (id(why), kept)
        if self._calls is None or self._calls[0] != key:
            self._calls = (key, Calls(why, kept))
        return TagScene(
            evidence.candidates, why, self._calls[1], kept, tuple(numbers), names, desk.skeleton, (chosen, desk.joint)
        )

    def _show_tables(self, scene: TagScene) -> None:
        groups = scene.calls.groups()
        candidate, joint = scene.chosen
        place = next((i for i, group in enumerate(groups) if group.candidate == candidate), None)
        self.groups.show_rows(scene, groups, place)
        calls = scene.calls.closest()
        place = next((i for i, call in enumerate(calls) if (call.candidate, call.joint) == (candidate, joint)), None)
        self.closest.show_rows(scene, calls, place)
        for widget in (self.calls_heading, self.closest):
            widget.setVisible(bool(calls))

    def _show_words(self, scene: TagScene) -> None:
        candidate, joint = scene.chosen
        words, between = "", ""
        if candidate is None:
            words = tr("Choose a keypoint to see why it belongs to its person.")
        elif joint is not None and joint < scene.why.how.shape[1]:
            name = _capital(tr(scene.skeleton.joints[joint]))
            call = scene.calls.call(candidate, joint)
            if call is None:
                words = tr("{joint} was not found for {name}.", joint=name, name=scene.names[candidate])
            else:
                words = reason_words(call, scene.why, scene.names, name)
                between = between_words(call, scene.why, scene.names, name)
        else:
            group = next((one for one in scene.calls.groups() if one.candidate == candidate), None)
            words = _capital(group_words(group, scene.names)) if group is not None else ""
        self.reason.text.setText(words)
        self.reason.setVisible(bool(words))
        self.warning.text.setText(between)
        self.warning.setVisible(bool(between))

    # --- what a person does ---

    def limit_moved(self) -> None:
        """Ask soon what the moved limit would do."""
        self._touched = self.trial.value != self._run_limit
        if not self._ask.isActive():
            self._ask.start()
        self.mark()

    def _ask_now(self) -> None:
        result = self.desk.evidence
        why = result.evidence.grouping if result is not None and result.evidence is not None else None
        if why is not None and self._touched:
            self._asked = (id(why), self.trial.value)
            self.desk.what_if_grouping(self.trial.value)

    def reset_limit(self) -> None:
        """Go back to the run's limit."""
        self._touched = False
        self.mark()

    def use_limit(self) -> None:
        """Use this limit for the next run."""
        self.desk.set_config(msgspec.structs.replace(self.desk.config, grouping_limit=self.trial.value))

    def choose(self, candidate: int, joint: int | None) -> None:
        """Select a keypoint everywhere, with the person that a candidate became."""
        person = next((p for p in self.desk.people if self.desk.candidate_of(p.key) == candidate), None)
        if person is None:
            return
        if joint is None:
            self.desk.select(person=person.key)
        else:
            self.desk.select(person=person.key, joint=joint)

    def _pick_group(self, place: int) -> None:
        entry = self.groups.rows.row_at(place)
        if entry is not None:
            self.choose(entry.candidate, None)

    def _pick_call(self, place: int) -> None:
        call = self.closest.rows.row_at(place)
        if call is not None and hasattr(call, "joint"):
            self.choose(call.candidate, call.joint)

    def _choose_part(self, key: str) -> None:
        self._part = int(np.clip(int(key), 0, 1))
        self.mark()


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
