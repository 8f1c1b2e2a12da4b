"""Versions and licences."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtWidgets import QWidget

from poseviewer import __version__
from poseviewer.ui.dialogs.base import Dialog, Fields
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr

PARTS = (
    ("PySide6_Essentials", "LGPL-3.0"),
    ("torch", "BSD-3-Clause"),
    ("ultralytics", "AGPL-3.0"),
    ("av", "BSD-3-Clause; GPL codecs inside"),
    ("opencv-python", "Apache-2.0"),
    ("numpy", "BSD-3-Clause"),
    ("pycocotools", "BSD-2-Clause"),
    ("pyqtgraph", "MIT"),
)


class AboutDialog(Dialog):
    """What this program is, and the versions and licences of what it stands on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("About PoseViewer"), 480, parent)
        self.body.addWidget(Label(f"PoseViewer {__version__}", size=22, weight=600))
        self.body.addWidget(
            Label(tr("See why a pose pipeline went wrong, put it right, hand the result back to training."), wrap=True)
        )
        self.body.addWidget(Label(tr("Licence: {licence}", licence="AGPL-3.0-or-later"), token="t2"))
        fields = Fields(160)
        fields.add("Python", Label(platform.python_version(), token="t2"))
        for name, licence in PARTS:
            fields.add(name, Label(f"{_version(name)}, {licence}", token="t2"))
        self.body.addLayout(fields)
        self.body.addStretch(1)
        self.add_button(tr("Close"), primary=True).clicked.connect(self.accept)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return tr("not installed")
