"""What the window remembers between starts: layout, recent files, theme, language."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

from poseviewer.core.resources import config_folder

RECENT_LIMIT = 12


@dataclass(frozen=True, slots=True)
class Recent:
    """One recent file: its path, when it was opened last (seconds since 1970) and a line about it."""

    path: str
    when: float
    note: str = ""


def settings() -> QSettings:
    """Return the window's settings, kept in the person's settings folder."""
    return QSettings(str(config_folder() / "window.ini"), QSettings.Format.IniFormat)


def value(key: str, default: Any) -> Any:
    """Return a setting with the type of ``default``."""
    found: Any = settings().value(key, default)
    if isinstance(default, bool):
        return found if isinstance(found, bool) else str(found).lower() == "true"
    if isinstance(default, (int, float)):
        try:
            return type(default)(found)
        except (TypeError, ValueError):
            return default
    return found


def set_value(key: str, value: Any) -> None:
    """Remember a setting."""
    settings().setValue(key, value)


def recent() -> tuple[Recent, ...]:
    """Return the recent files, newest first."""
    store = settings()
    count = store.beginReadArray("recent")
    found = []
    for index in range(count):
        store.setArrayIndex(index)
        path = str(store.value("path", ""))
        if path:
            found.append(Recent(path, float(str(store.value("when", 0.0))), str(store.value("note", ""))))
    store.endArray()
    return tuple(found)


def remember(path: str, note: str = "") -> None:
    """Put ``path`` on top of the recent files."""
    full = str(Path(path).resolve()) if "*" not in path else path
    rows = [Recent(full, time.time(), note), *(row for row in recent() if row.path != full)][:RECENT_LIMIT]
    _write(rows)


def forget(path: str) -> None:
    """Take ``path`` off the recent files."""
    _write([row for row in recent() if row.path != path])


def _write(rows: list[Recent]) -> None:
    store = settings()
    store.beginWriteArray("recent", len(rows))
    for index, row in enumerate(rows):
        store.setArrayIndex(index)
        store.setValue("path", row.path)
        store.setValue("when", row.when)
        store.setValue("note", row.note)
    store.endArray()
    store.sync()
