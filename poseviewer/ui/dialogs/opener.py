"""Which dialog an action opens. The window asks here for every action that is not its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDialog, QWidget

from poseviewer.core.log import log_path
from poseviewer.ui.dialogs.help import PAGES, HelpDialog
from poseviewer.ui.dialogs.settings import SettingsDialog, show_folder

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk


class Dialogs:
    """Opens dialogs by action id; each exists at most once at a time.

    Attributes:
        shown: the open dialogs by action id.
    """

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        self._desk = desk
        self._parent = parent
        self.shown: dict[str, QDialog] = {}
        self._makers: dict[str, Callable[[], QDialog]] = {
            "run_panel": self._run,
            "export": self._export,
            "import": self._import,
            "retrain": self._retrain,
            "shortcuts": self._shortcuts,
            "settings": lambda: SettingsDialog(parent),
            "about": self._about,
        }
        self._makers |= {action: partial(self._help, page) for action, page in PAGES.items()}

    def do(self, action_id: str) -> bool:
        """Open the dialog of ``action_id``; return whether there is one."""
        if action_id == "show_log":
            show_folder(log_path().parent)
            return True
        maker = self._makers.get(action_id)
        if maker is None:
            return False
        held = self.shown.get(action_id)
        if held is None:
            held = self.shown[action_id] = maker()
            held.finished.connect(lambda _code: self._forget(action_id))
            # The picture behind a dialog stays in reach: only the export needs a standstill, and it takes a snapshot.
            held.setModal(False)
        held.show()
        held.raise_()
        held.activateWindow()
        return True

    def close_all(self) -> None:
        """Close every open dialog."""
        for held in list(self.shown.values()):
            held.close()

    def _forget(self, action_id: str) -> None:
        held = self.shown.pop(action_id, None)
        if held is not None:
            held.deleteLater()

    def _run(self) -> QDialog:
        from poseviewer.ui.dialogs.run import RunDialog

        return RunDialog(self._desk, self._parent)

    def _export(self) -> QDialog:
        from poseviewer.ui.dialogs.export import ExportDialog

        return ExportDialog(self._desk, self._parent)

    def _import(self) -> QDialog:
        from poseviewer.ui.dialogs.importing import ImportDialog

        return ImportDialog(self._desk, self._parent)

    def _retrain(self) -> QDialog:
        from poseviewer.ui.dialogs.retrain import RetrainDialog

        return RetrainDialog(self._desk, self._parent)

    def _shortcuts(self) -> QDialog:
        from poseviewer.ui.dialogs.shortcuts import ShortcutsDialog

        return ShortcutsDialog(self._parent)

    def _help(self, page: str) -> QDialog:
        return HelpDialog(page, self._parent)

    def _about(self) -> QDialog:
        from poseviewer.ui.dialogs.about import AboutDialog

        return AboutDialog(self._parent)
