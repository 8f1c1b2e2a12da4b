"""Texts of the window: English in the code, other languages by catalogue.

A catalogue is a JSON object from the English text to the translated one. ``resources/translations/<language>.json``
is read first, then every file of ``resources/translations/<language>.d``. Sentences of lower rooms are made there
with their values in them, so the catalogue knows them as patterns with places {0}, {1}. This module knows no Qt.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from poseviewer.core.errors import MissingPartError
from poseviewer.core.resources import resource_folder

log = logging.getLogger("poseviewer.text")

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
"""Languages the window speaks, by code, each named in itself."""


LEAST_LETTERS = 8
"""A pattern with fewer fixed letters would fit sentences it was not made for."""


class Catalogue:
    """The texts of one language."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.texts: dict[str, str] = {} if language == "en" else read_catalogue(language)
        self._patterns: list[tuple[re.Pattern[str], str]] | None = None

    def sentence(self, text: str) -> str:
        """Return a sentence of the rooms below the window, which fill in their values themselves.

        The catalogue knows such a sentence by its pattern, "There is no file {0}."; the values are looked up too.
        """
        found = self.texts.get(text)
        if found is not None or not self.texts:
            return found or text
        for pattern, translated in self._all_patterns():
            match = pattern.fullmatch(text)
            if match is not None:
                return translated.format(*(self.sentence(value) for value in match.groups()))
        return text

    def _all_patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Return the patterns, those with the most fixed letters first."""
        if self._patterns is None:
            known = {text: translated for text, translated in self.texts.items() if _PLACE.search(text)}
            ordered = sorted(known, key=lambda text: -fixed_letters(text))
            self._patterns = [
                (pattern_of(text), known[text]) for text in ordered if fixed_letters(text) >= LEAST_LETTERS
            ]
        return self._patterns


_PLACE = re.compile(r"\{\d+\}")


def fixed_letters(template: str) -> int:
    """Return how many letters of a pattern are fixed."""
    return sum(character.isalpha() for character in _PLACE.sub("", template))


def pattern_of(template: str) -> re.Pattern[str]:
    """Return what matches the sentences of a template such as "There is no frame {0} in {1}: {2}."."""
    return re.compile("(.*?)".join(re.escape(part) for part in _PLACE.split(template)), re.DOTALL)


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


def tr_sentence(text: str) -> str:
    """Return a finished sentence (of an error, a finding, a note) in the window's language, in English if unknown."""
    return _current.sentence(text)


def tr(text: str, /, **values: Any) -> str:
    """Return ``text`` in the window's language, with ``{name}`` placeholders filled from ``values``."""
    found = _current.texts.get(text, text)
    return found.format(**values) if values else found


def tr_joint_set(title: str) -> str:
    """Return the title of a joint set, "COCO, 17 joints"; its name is the same in every language."""
    name, _, count = title.removesuffix(" joints").rpartition(", ")
    if name and count.isdigit() and title.endswith(" joints"):
        return tr("{name}, {n} joints", name=name, n=count)
    return title
