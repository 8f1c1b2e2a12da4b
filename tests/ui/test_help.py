"""The help pages: both languages say the same things, and the real window opens them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from pytestqt.qtbot import QtBot

from poseviewer.core.resources import resource
from poseviewer.ui import text, theme
from poseviewer.ui.dialogs.help import PAGES, HelpDialog, help_text, title_of

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = Path(resource("help"))
TRANSLATED = [ENGLISH / language for language in text.LANGUAGES if language != "en"]


def outline(words: str) -> dict[str, Any]:
    """What must be alike in every language: headings, tables, lists, links, keys and figures."""
    lines = words.splitlines()
    return {
        "headings": [line.split(" ")[0] for line in lines if line.startswith("#")],
        "rows": sum(line.startswith("|") for line in lines),
        "items": sum(bool(re.match(r"(-|\d+\.) ", line)) for line in lines),
        "links": sorted(re.findall(r"\]\(([^)]+)\)", words)),
        "code": sorted(re.findall(r"`([^`]+)`", words)),
        "figures": sorted(re.findall(r"\d\.\d{3}", words)),
    }


@pytest.mark.parametrize("folder", TRANSLATED, ids=lambda folder: folder.name)
def test_every_language_has_the_same_pages_and_headings(folder: Path) -> None:
    names = sorted(file.name for file in ENGLISH.glob("*.md"))
    assert names == sorted(f"{page}.md" for page in PAGES.values())
    assert sorted(file.name for file in folder.glob("*.md")) == names
    for name in names:
        english, other = ((place / name).read_text(encoding="utf-8") for place in (ENGLISH, folder))
        assert outline(english) == outline(other), name
        assert title_of(english) != title_of(other)


@pytest.mark.parametrize("page", PAGES.values())
def test_links_lead_to_pages_that_are_there(page: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", help_text(page))
    assert links
    assert {Path(link).stem for link in links} <= set(PAGES.values())


def test_the_figures_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Retrain on your corrections")[1].split("\n## ")[0]
    figures = re.findall(r"\d\.\d{3}", help_text("retraining"))
    assert len(figures) >= 16
    assert set(figures) <= set(re.findall(r"\d\.\d{3}", section))


def test_the_help_menu_opens_the_page_in_the_window(bare_window: Any, qtbot: QtBot) -> None:
    bare_window.action_of("help_retraining").trigger()
    dialog = bare_window.dialogs.shown["help_retraining"]
    assert isinstance(dialog, HelpDialog)
    qtbot.waitUntil(dialog.isVisible, timeout=3000)
    assert dialog.page == "retraining"
    shown = dialog.browser.toPlainText()
    assert "What is held out" in shown
    assert "PCK at 0.2" in shown
    assert "##" not in shown
    # The menu's other pages come in windows of their own; the same one comes back.
    bare_window.action_of("help_retraining").trigger()
    assert bare_window.dialogs.shown["help_retraining"] is dialog


def test_links_change_the_page_and_addresses_only_show(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    dialog = HelpDialog("retraining")
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.browser.anchorClicked.emit(QUrl("models.md"))
    assert dialog.page == "models"
    dialog.browser.anchorClicked.emit(QUrl("https://example.org/weights"))
    assert (dialog.page, opened) == ("models", [])
    assert dialog.address.text() == "https://example.org/weights"
    dialog.pages.setCurrentRow(0)
    assert dialog.page == "getting-started"
    assert not dialog.copy.isVisible()


@pytest.mark.parametrize("look", ["dark", "light"])
def test_it_is_readable_in_both_themes_and_in_chinese(qtbot: QtBot, look: theme.Pin) -> None:
    before = theme.current().name
    text.set_language("zh_CN")
    try:
        dialog = HelpDialog("retraining")
        qtbot.addWidget(dialog)
        theme.apply(look)
        assert "留出什么" in dialog.browser.toPlainText()
        palette = dialog.browser.palette()
        assert abs(palette.text().color().lightness() - palette.base().color().lightness()) > 150
        cursor = dialog.browser.document().find("他人的模型")
        assert cursor.charFormat().isAnchor()
        assert cursor.charFormat().foreground().color() == theme.current().colour("accent")
    finally:
        text.set_language("en")
        theme.apply(before)
