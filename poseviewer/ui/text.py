"""Texts of the window: English in the code, other languages by catalogue.

A catalogue is a JSON object from the English text to the translated one. ``resources/translations/<language>.json``
is read first, then every file of ``resources/translations/<language>.d``. This module knows no Qt.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from poseviewer.core.errors import MissingPartError
from poseviewer.core.resources import resource_folder

log = logging.getLogger("poseviewer.text")

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
"""Languages the window speaks, by code, each named in itself."""


class Catalogue:
    """The texts of one language."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.texts: dict[str, str] = {} if language == "en" else read_catalogue(language)


def read_catalogue(language: str) -> dict[str, str]:
    """Return English text -> translated text of ``language``; empty if there is none."""
    try:
        folder = resource_folder() / "translations"
    except MissingPartError:
        return {}
    texts: dict[str, str] = {}
    for path in (folder / f"{language}.json", *sorted((folder / f"{language}.d").glob("*.json"))):
        if not path.is_file():
            continue
        try:
            texts.update(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            log.exception("the catalogue %s cannot be read", path)
    return texts


_current = Catalogue()


def set_language(language: str) -> None:
    """Speak ``language`` from now on: a key of LANGUAGES, or a system locale name such as "zh-Hans-CN"."""
    global _current
    code = language.replace("-", "_")
    if code.startswith("zh"):
        code = "zh_CN"
    _current = Catalogue(code if code in LANGUAGES else "en")


def language() -> str:
    """Return the code of the language in use."""
    return _current.language


def tr(text: str, /, **values: Any) -> str:
    """Return ``text`` in the window's language, with ``{name}`` placeholders filled from ``values``."""
    found = _current.texts.get(text, text)
    return found.format(**values) if values else found
