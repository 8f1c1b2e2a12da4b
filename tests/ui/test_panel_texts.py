"""Every text of timeline and panels has a Chinese one with the same placeholders."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from poseviewer.core.skeleton import skeleton
from poseviewer.ui.text import read_catalogue

ROOT = Path(__file__).resolve().parents[2] / "poseviewer" / "ui"
FILES = sorted([*(ROOT / "panels").glob("*.py"), *(ROOT / "timeline").glob("*.py")])


def texts() -> set[str]:
    found: set[str] = set(skeleton().joints)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tr" and node.args:
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.add(argument.value)
    return found


def catalogue() -> dict[str, str]:
    return read_catalogue("zh_CN")


def test_no_text_is_missing() -> None:
    assert len(texts()) > 150
    assert texts() - set(catalogue()) == set()


def test_placeholders_are_the_same() -> None:
    for english, chinese in catalogue().items():
        assert set(re.findall(r"\{(\w+)\}", english)) == set(re.findall(r"\{(\w+)\}", chinese)), english


@pytest.mark.parametrize("words", [" fail", "please", "!"])
def test_the_tone_is_plain(words: str) -> None:
    assert [text for text in texts() if words in text.lower()] == []
