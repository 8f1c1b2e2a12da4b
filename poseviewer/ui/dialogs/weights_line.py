"""One line about the weights that a person chose: whose network it is, its joints and input, or why it does not open.

The file is read on a thread of its own, and nothing in it is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from poseviewer.core.errors import KnownError
from poseviewer.core.progress import JobEvent
from poseviewer.core.skeleton import skeleton, skeleton_names
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.nets.checkpoint import Checkpoint
    from poseviewer.ui.threads import JobThread

StartJob = Callable[[Iterator[JobEvent]], "JobThread"]


class WeightsLine(Label):
    """Describes a weights file; hidden while there is none to describe.

    Args:
        start: runs a job on a thread of its own and returns the thread, as ``Desk.start_job`` does; None describes
            nothing.

    Signals:
        described: the report, once the file was read.
    """

    described = Signal(object)

    def __init__(self, start: StartJob | None, parent: QWidget | None = None) -> None:
        super().__init__("", token="t2", wrap=True)
        self._start = start
        self._path = ""
        self._reading: JobThread | None = None
        self.hide()

    def look_at(self, path: str) -> None:
        """Describe the file at ``path``; "" is the bundled one, of which nothing is said."""
        if path == self._path:
            return
        self._path = path
        self.setToolTip("")
        self.setVisible(bool(path) and self._start is not None)
        if not path or self._start is None:
            return
        self.set_token("t3")
        self.setText(tr("Reading…"))
        from poseviewer.jobs.models import inspect_weights

        thread = self._start(inspect_weights(path))
        # Methods, not lambdas: Qt calls them no more once the panel is gone.
        self._reading = thread
        thread.result.connect(self._show)
        thread.error.connect(self._refuse)

    def look_again(self) -> None:
        """Describe the same file anew."""
        path, self._path = self._path, ""
        self.look_at(path)

    def _stale(self) -> bool:
        """Return whether the answer that just came is of a slow file, after which another was chosen."""
        return not self._path or self.sender() is not self._reading

    def _show(self, report: Checkpoint) -> None:
        if self._stale():
            return
        from poseviewer.jobs.models import report_lines

        self.set_token("t2" if report.fits else "err")
        self.setText(report_words(report))
        self.setToolTip("\n".join(report_lines(report)))
        self.described.emit(report)

    def _refuse(self, error: BaseException) -> None:
        if not self._stale():
            self.set_token("err")
            told = tr_sentence(error.sentence) if isinstance(error, KnownError) else tr("The file cannot be read.")
            self.setText(told)


def report_words(report: Checkpoint) -> str:
    """The report in one line of the window's language."""
    spec = report.spec
    if spec is None:
        return tr("Not a pose estimator that PoseViewer knows")
    joints = tr("1 joint") if spec.joints == 1 else tr("{count} joints", count=spec.joints)
    if spec.skeleton in skeleton_names():
        joints = skeleton(spec.skeleton).title
    width, height = spec.input_wh
    words = f"{report.publisher} · {report.network} · {joints} · {width} × {height}"
    return words if report.fits else tr("{network}: does not fit its network", network=words)
