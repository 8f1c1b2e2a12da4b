"""What the window says: one sentence, a remedy, a level and at most two buttons. Never a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

from poseviewer.core.errors import KnownError
from poseviewer.core.log import log_path
from poseviewer.ui.text import tr, tr_sentence

Level = Literal["info", "done", "warning", "error"]
DELETE_SCOPE = "delete-scope"
"""Key of the message that offers to delete a person in more frames than one."""
log = logging.getLogger("poseviewer.window")
qt_log = logging.getLogger("poseviewer.qt")


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the person.

    Attributes:
        sentence: what is, and why.
        remedy: what to do next, or "".
        level: errors and warnings stay until closed, the others leave after 6 s.
        actions: at most two (button text, action id or function).
        key: a message replaces an earlier one of the same key.
    """

    sentence: str
    remedy: str = ""
    level: Level = "info"
    actions: tuple[tuple[str, str | Callable[[], object]], ...] = ()
    key: str = ""


def of_error(error: BaseException) -> Message:
    """Return what to say about ``error``; a bug is logged and gets one general sentence naming the log file."""
    if isinstance(error, KnownError):
        log.warning("%s", error, exc_info=error.__cause__)
        return Message(tr_sentence(error.sentence), tr_sentence(error.remedy), "error")
    log.error("unexpected error", exc_info=(type(error), error, error.__traceback__))
    return Message(
        tr("Something unexpected happened; what you did before it is kept."),
        tr("The details are in {file}.", file=str(log_path())),
        "error",
        ((tr("Show log"), "show_log"),),
        key="bug",
    )


def install_hooks(tell: Callable[[Message], object]) -> Callable[[], None]:
    """Send uncaught exceptions to the log and ``tell`` one sentence; send Qt's own messages to the log.

    Returns:
        a function that puts the earlier hooks back.
    """
    before = sys.excepthook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)
            return
        tell(of_error(error.with_traceback(trace)))

    def from_qt(level: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if level in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
            qt_log.error("%s", text)
        elif level == QtMsgType.QtWarningMsg:
            qt_log.warning("%s", text)

    sys.excepthook = uncaught
    qt_before = qInstallMessageHandler(from_qt)

    def restore() -> None:
        sys.excepthook = before
        qInstallMessageHandler(qt_before)

    return restore
