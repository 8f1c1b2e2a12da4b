"""Makes pictures of the README: the real window on the demo, whose photographs come with the ultralytics package.

``retrain.jpg`` is of a real retraining, which takes longer, and is not made here.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python packaging/pictures.py docs/pictures
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from poseviewer.jobs.demo import make_demo
from poseviewer.project.rows import Doubt
from poseviewer.ui import text, theme
from poseviewer.ui.app import destroy, prepare
from poseviewer.ui.collecting import Collector
from poseviewer.ui.panels.suppression import SuppressionPanel
from poseviewer.ui.window import Window

SIZE = (1440, 900)
WIDTH = 1280
"""Pictures are scaled to this width."""
GAMMA = 22.0
"""Pose similarity that the picture of suppression tries; a little below the usual one."""


def wait(milliseconds: int) -> None:
    """Let the window work (and let go of the interpreter meanwhile, unlike QTest.qWait)."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_for(ready: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until ``ready`` or leave."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit("the window did not get there in time")
        wait(50)


def look_at(window: Window, frame: int, joint: int | None, person: int = 0) -> None:
    """Show a frame with its evidence and select a person and joint."""
    desk = window.desk
    desk.select(frame=frame)
    wait_for(lambda: desk.frame_exact and desk.evidence_state == "ready")
    key = desk.people[min(person, len(desk.people) - 1)].key if desk.people else None
    desk.select(person=key, joint=joint)
    wait(600)


def doubled(window: Window) -> Doubt:
    """Return the first frame in which somebody is there twice."""
    desk = window.desk
    if desk.project is None or desk.media_id is None:
        sys.exit("the demo is not open")
    doubts = sorted(desk.project.worth_a_look(desk.media_id), key=lambda doubt: doubt.frame)
    return next(doubt for doubt in doubts if doubt.kind == "doubled")


def try_threshold(window: Window, person: str | None) -> None:
    """Select the doubled person and show the figures that would remove one of the two."""
    window.desk.select(person=person)
    panel = window.inspector.currentWidget()
    if not isinstance(panel, SuppressionPanel):
        sys.exit("the suppression panel is not on show")
    panel.limits[0].show_value(GAMMA)
    panel.limits_moved()
    wait_for(lambda: window.desk.what_if is not None)
    wait(600)


def save(window: Window, path: Path) -> None:
    """Save the window as it is."""
    window.grab().scaledToWidth(WIDTH, Qt.TransformationMode.SmoothTransformation).save(str(path), quality=88)
    print(path)


def main(folder: Path) -> None:
    """Make every picture."""
    application = QApplication([sys.argv[0]])
    prepare(application)
    text.set_language("en")
    theme.apply("dark")
    collector = Collector()
    with tempfile.TemporaryDirectory() as place:
        job = make_demo(place)
        try:
            while True:
                next(job)
        except StopIteration as end:
            project = end.value
        window = Window()
        window.resize(*SIZE)
        window.show()
        window.desk.open_paths([project])
        wait_for(lambda: window.desk.editable and window.desk.frame is not None)
        look_at(window, 12, joint=9)
        save(window, folder / "window.jpg")
        window.inspector.setCurrentIndex(2)
        doubt = doubled(window)
        look_at(window, doubt.frame, joint=None)
        try_threshold(window, doubt.person_key)
        save(window, folder / "suppression.jpg")
        theme.apply("light")
        window.inspector.setCurrentIndex(1)
        look_at(window, 78, joint=10)
        save(window, folder / "crops-light.jpg")
        window.close()
        destroy(window)
    collector.stop()


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    target.mkdir(parents=True, exist_ok=True)
    main(target)
