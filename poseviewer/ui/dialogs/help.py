"""Help pages: Markdown of ``resources/help``, one file a page, in the window's language."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QTextBlockFormat, QTextCursor, QTextTable
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QTextBrowser, QWidget

from poseviewer.core.resources import resource
from poseviewer.ui import theme
from poseviewer.ui.dialogs.base import Dialog
from poseviewer.ui.panels.widgets import Label, SmallButton
from poseviewer.ui.text import language, tr

PAGES = {"help_start": "getting-started", "help_retraining": "retraining", "help_models": "models"}
"""Actions of the Help menu -> their pages, in the order of the list."""
ROW = 28
"""Height of a row of the list, logical pixels."""


def help_text(page: str) -> str:
    """The Markdown of a page in the window's language, in English where there is none.

    Raises:
        MissingPartError: the installation has no such page.
    """
    english = resource(f"help/{page}.md")
    translated = english.parent / language() / english.name
    return (translated if translated.is_file() else english).read_text(encoding="utf-8")


def title_of(text: str) -> str:
    """The first heading of a page."""
    return text.split("\n", 1)[0].lstrip("# ").strip()


class HelpDialog(Dialog):
    """A list of pages and the chosen one. Links lead to other pages; addresses are shown, never opened."""

    def __init__(self, page: str, parent: QWidget | None = None) -> None:
        super().__init__(tr("Help"), 720, parent)
        self.prefer(920, 700)
        self._texts = {name: help_text(name) for name in PAGES.values()}
        self.pages = QListWidget()
        self.pages.setAccessibleName(tr("Pages"))
        for text in self._texts.values():
            item = QListWidgetItem(title_of(text), self.pages)
            item.setSizeHint(QSize(0, ROW))
        self.pages.setFixedWidth(190)
        self.pages.setStyleSheet("QListWidget::item { padding-left: 8px; }")
        self.browser = Page()
        self.browser.anchorClicked.connect(self._follow)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.pages)
        row.addWidget(self.browser, 1)
        self.body.addLayout(row, 1)
        self.address = Label("", size=11, token="t2", wrap=True)
        self.copy = SmallButton(tr("Copy address"), flat=True)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.address.text()))
        self.buttons.insertWidget(0, self.address, 1)
        self.buttons.insertWidget(1, self.copy)
        self.add_button(tr("Close"), primary=True).clicked.connect(self.accept)
        self.pages.currentRowChanged.connect(self._show_row)
        theme.notifier().changed.connect(self._dress)
        self.show_page(page)

    @property
    def page(self) -> str:
        """The name of the page that is shown."""
        return list(self._texts)[self.pages.currentRow()]

    def show_page(self, page: str) -> None:
        """Show a page by its name; an unknown one is the first."""
        names = list(self._texts)
        self.pages.setCurrentRow(names.index(page) if page in names else 0)

    def _show_row(self, _row: int) -> None:
        self.browser.show_markdown(self._texts[self.page])
        self._show_address("")

    def _dress(self) -> None:
        place = self.browser.verticalScrollBar().value()
        self.browser.show_markdown(self._texts[self.page])
        self.browser.verticalScrollBar().setValue(place)

    def _follow(self, link: QUrl) -> None:
        name = Path(link.path()).stem
        if link.isRelative() and name in self._texts:
            self.show_page(name)
        else:
            self._show_address(link.toString())

    def _show_address(self, address: str) -> None:
        self.address.setText(address)
        self.copy.setVisible(bool(address))


class Page(QTextBrowser):
    """Markdown in the theme's colours, with room between its lines. It follows no link by itself."""

    LINE_HEIGHT = 135.0
    """Per cent of the font's own."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setReadOnly(True)
        self.document().setDocumentMargin(14)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)

    def show_markdown(self, text: str) -> None:
        """Show a page from its beginning."""
        self.setMarkdown(text)
        document = self.document()
        document.setIndentWidth(22)
        self._space_lines()
        for frame in document.rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                self._dress_table(frame)
        self.verticalScrollBar().setValue(0)

    def _space_lines(self) -> None:
        cursor = QTextCursor(self.document())
        block = self.document().begin()
        while block.isValid():
            shape = QTextBlockFormat(block.blockFormat())
            shape.setLineHeight(self.LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
            shape.setTopMargin(16 if shape.headingLevel() > 1 else 0)
            shape.setBottomMargin(0 if QTextCursor(block).currentTable() else 4 if block.textList() else 8)
            cursor.setPosition(block.position())
            cursor.setBlockFormat(shape)
            block = block.next()

    def _dress_table(self, table: QTextTable) -> None:
        shape = table.format()
        shape.setBorder(0)
        shape.setCellSpacing(0)
        shape.setCellPadding(5)
        shape.setBackground(theme.current().colour("panel"))
        shape.setBottomMargin(8)
        table.setFormat(shape)
