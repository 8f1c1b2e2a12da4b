"""Settings: language, theme, text size, and where things are kept."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSlider, QWidget

from poseviewer.core.log import log_path
from poseviewer.core.resources import cache_folder, config_folder
from poseviewer.ui import settings, theme
from poseviewer.ui.dialogs.base import Dialog, Fields
from poseviewer.ui.panels.widgets import Choice, Heading, Label
from poseviewer.ui.text import LANGUAGES, language, tr


class SettingsDialog(Dialog):
    """What a person may choose about the window; every choice takes effect at once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Settings"), 520, parent)
        self.body.addWidget(Heading(tr("Looks")))
        looks = Fields()
        self.language = _box(list(LANGUAGES.items()), language())
        looks.add(tr("Language"), self.language, tr("Takes effect at the next start"))
        themes = [("system", tr("As the system")), ("dark", tr("Dark")), ("light", tr("Light"))]
        self.theme = _box(themes, theme.pinned())
        looks.add(tr("Theme"), self.theme)
        self.scale = QSlider(Qt.Orientation.Horizontal)
        self.scale.setRange(90, 150)
        self.scale.setSingleStep(5)
        self.scale.setValue(round(float(settings.value("text_scale", 1.0)) * 100))
        self._percent = Label("")
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.scale, 1)
        row.addWidget(self._percent)
        looks.add(tr("Text size"), holder)
        self.scale.setAccessibleName(tr("Text size"))
        self.body.addLayout(looks)
        self.body.addWidget(Heading(tr("Folders")))
        self.body.addLayout(self._folders())
        self.body.addStretch(1)
        self.add_button(tr("Close"), primary=True).clicked.connect(self.accept)
        self.language.currentIndexChanged.connect(lambda: settings.set_value("language", self.language.currentData()))
        self.theme.currentIndexChanged.connect(self._pick_theme)
        self.scale.valueChanged.connect(self._pick_scale)
        self._show_scale()

    def _folders(self) -> Fields:
        fields = Fields()
        places = ((tr("Log"), log_path().parent), (tr("Cache"), cache_folder()), (tr("Settings"), config_folder()))
        for name, folder in places:
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            row.addWidget(Label(str(folder), token="t2", wrap=True), 1)
            button = QPushButton(tr("Show"))
            button.setAccessibleName(tr("Show the folder {folder}", folder=str(folder)))
            button.clicked.connect(lambda _checked=False, folder=folder: show_folder(folder))
            row.addWidget(button)
            fields.add(name, holder)
        return fields

    def _pick_theme(self) -> None:
        settings.set_value("theme", self.theme.currentData())
        theme.apply(self.theme.currentData())

    def _pick_scale(self) -> None:
        settings.set_value("text_scale", self.scale.value() / 100)
        theme.apply(theme.pinned(), self.scale.value() / 100)
        self._show_scale()

    def _show_scale(self) -> None:
        self._percent.setText(f"{self.scale.value()} %")


def _box(choices: list[tuple[str, str]], chosen: str) -> Choice:
    box = Choice()
    for key, text in choices:
        box.addItem(text, key)
    box.setCurrentIndex(max(box.findData(chosen), 0))
    return box


def show_folder(folder: Path) -> None:
    """Open ``folder`` in the system's file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
