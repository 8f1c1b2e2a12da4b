"""The application: one QApplication, one window, hooks that keep tracebacks off the screen."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QLocale, QTimer
from PySide6.QtWidgets import QApplication

from poseviewer.core.log import log_path, start_log
from poseviewer.ui import settings, text, theme
from poseviewer.ui.collecting import Collector
from poseviewer.ui.messages import install_hooks
from poseviewer.ui.window import Window

log = logging.getLogger("poseviewer.app")

SWITCH_S = 0.001
"""How long a thread of pure Python keeps the others waiting; the window stays smooth beside decoding."""


def prepare(application: QApplication) -> None:
    """Give the application its name, language, looks and log."""
    application.setApplicationName("PoseViewer")
    application.setOrganizationName("PoseViewer")
    application.setApplicationDisplayName("PoseViewer")
    start_log()
    chosen = str(settings.value("language", "")) or QLocale.system().name()
    text.set_language(chosen)
    theme.start()
    pin = str(settings.value("theme", "system"))
    theme.apply("dark" if pin == "dark" else "light" if pin == "light" else "system", settings.value("text_scale", 1.0))
    sys.setswitchinterval(SWITCH_S)


def run_window(argv: Sequence[str] = ()) -> int:
    """Show the window, open ``argv`` (paths; "--demo" opens the demo) and return the exit status."""
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        application = QApplication([sys.argv[0]])
    prepare(application)
    collector = Collector()
    window = Window()
    restore = install_hooks(window.desk.tell)
    # The collector's timer gives Python a turn each second, so that Ctrl+C in a terminal closes in good order.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    window.show()
    paths = [path for path in argv if not path.startswith("--")]
    if paths:
        QTimer.singleShot(0, lambda: window.desk.open_paths(paths))
    elif "--demo" in argv:
        QTimer.singleShot(0, window.open_demo)
    log.info("window shown; log is %s", log_path())
    try:
        return int(application.exec())
    finally:
        restore()
        destroy(window)
        collector.stop()


def destroy(window: Window) -> None:
    """Destroy a closed window now and in Qt's order, not whenever Python's collector comes by."""
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
