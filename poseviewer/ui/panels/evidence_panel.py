"""What the evidence panels share: their question, and what they show while there is no evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QStackedLayout, QVBoxLayout, QWidget

from poseviewer.core.values import CropEvidence, Evidence, Person
from poseviewer.ui import theme
from poseviewer.ui.panels.widgets import MARGIN, EmptyState, Label, Panel, Question, Veil
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk


class EvidencePanel(Panel):
    """A panel of the inspector: a question on top, then its content or an empty state.

    Subclasses fill ``self.body`` (and ``self.foot``, which stays in sight below it, setting ``has_foot``) and override
    :meth:`show_evidence`, which returns whether there was something to show after calling :meth:`say_empty` itself
    where there was not.
    """

    has_foot = False

    def __init__(self, desk: Desk, name: str, question: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.setAccessibleName(name)
        self.question = Question(question)
        self.status = Label("", size=11, token="warn", wrap=True)
        self.status.hide()
        self.empty = EmptyState(icon)
        self._icon = icon
        self.content = QWidget()
        self.content.setProperty("panel", "true")
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(MARGIN, 2, MARGIN, MARGIN)
        self.body.setSpacing(8)
        scroll = QScrollArea()
        scroll.setWidget(self.content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.viewport().setProperty("panel", "true")
        # Content that does not fit must shrink, not slide out of sight.
        self.content.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        scroll.viewport().installEventFilter(self)
        self._scroll = scroll
        self._veil = Veil(scroll)
        self.pages = QStackedLayout()
        self.pages.addWidget(self.empty)
        self.pages.addWidget(scroll)
        self.foot = QWidget()
        self.foot.hide()
        head = QVBoxLayout()
        head.setContentsMargins(MARGIN, 8, MARGIN, 2)
        head.setSpacing(2)
        head.addWidget(self.question)
        head.addWidget(self.status)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addLayout(self.pages, 1)
        layout.addWidget(self.foot)
        self.pages.currentChanged.connect(lambda _page: self.foot.setVisible(self.showing and self.has_foot))
        for signal in (desk.evidence_changed, desk.people_changed, desk.selection_changed, desk.project_opened):
            signal.connect(self.mark)

    def sizeHint(self) -> QSize:
        """Return the inspector's size."""
        return QSize(theme.DOCK_RIGHT, 690)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the width that is left for the content."""
        if event.type() == QEvent.Type.Resize and watched is self._scroll.viewport():
            self.fit_again()
        return False

    def fit_again(self) -> None:
        """Fit the content to the room there is."""
        self.fit(self._scroll.viewport().width() - 2 * MARGIN)

    def fit(self, width: int) -> None:
        """Fit the content to ``width`` logical pixels; called whenever that changes."""

    @property
    def showing(self) -> bool:
        """Whether content is shown rather than the empty state."""
        return self.pages.currentIndex() == 1

    def say_empty(self, sentence: str, hint: str = "", key: str = "", icon: str = "") -> None:
        """Show a sentence instead of content."""
        self.empty.say(sentence, hint, key, icon or self._icon)
        self.pages.setCurrentIndex(0)

    def refresh(self) -> None:
        """Show the evidence of the selected frame, or say why there is none."""
        desk, state = self.desk, self.desk.evidence_state
        evidence = desk.evidence.evidence if desk.evidence is not None else None
        # Right after a step the desk has not asked yet; it will where a run was here, so the old content may stay.
        waiting = evidence is None and (state == "loading" or (state == "none" and desk.has_prediction_here()))
        self._veil.set_loading(loading=desk.info is not None and (waiting or state == "loading"))
        self._show_status(stale=state == "stale", shown=evidence is not None)
        if desk.info is None:
            self.say_empty(tr("Nothing is open"), tr("Open a video, pictures or a project"), "Ctrl+O")
        elif evidence is None:
            self._say_why("loading" if waiting else state)
        elif self.show_evidence(evidence):
            self.pages.setCurrentIndex(1)

    def _show_status(self, *, stale: bool, shown: bool) -> None:
        """Say in a line in what way the evidence is not that of the run, if it is not."""
        words = tr("Changed since; R to run again") if stale else ""
        run, replaced = self.desk.other_weights() if shown else (0, ())
        if replaced:
            names = ", ".join(replaced)
            words = tr("Computed with other weights than run {n} had: {names} was replaced since", n=run, names=names)
        self.status.setText(words)
        self.status.setVisible(bool(words))

    def _say_why(self, state: str) -> None:
        if state == "loading":
            # What was there stays under the veil; only a panel that had nothing says that it waits.
            if not self.showing:
                self.say_empty(tr("The networks look at this frame"), icon="clock")
        elif state == "error":
            self.say_empty(tr("The networks gave no answer"), tr("The message above tells why"), icon="error")
        else:
            self.say_empty(tr("No evidence for this frame yet"), tr("Run this frame"), "R")

    def show_evidence(self, evidence: Evidence) -> bool:
        """Show ``evidence``; return False after :meth:`say_empty`."""
        raise RuntimeError(f"{type(self).__name__} shows nothing")

    def person_crop(self, evidence: Evidence) -> tuple[Person, int, CropEvidence] | None:
        """Return the selected person with its candidate and crop, or None after saying why there is none."""
        person = self.desk.person
        if person is None:
            hint = tr("Click one in the picture or in the list") if self.desk.people else ""
            sentence = tr("No person is selected") if self.desk.people else tr("Nobody was found in this frame")
            self.say_empty(sentence, hint, "1" if self.desk.people else "", "person")
            return None
        candidate = self.desk.candidate_of(person.key)
        if candidate is None or candidate >= len(evidence.crops):
            self.say_empty(tr("No candidate of the networks belongs to this person"), icon="person")
            return None
        return person, candidate, evidence.crops[candidate]
