"""The toolbar: open, run, pipeline and device, undo, snap and swap; export, panels and theme on the right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from poseviewer.session.actions import action
from poseviewer.ui import theme
from poseviewer.ui.icons import icon
from poseviewer.ui.menus import Actions, pin_theme
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

HEIGHT = 42
NARROW = 1150
"""Below this width labels drop to icons."""


class ToolBar(QToolBar):
    """Built from the actions of the table; labels drop to icons from the right when the window is narrow."""

    def __init__(self, desk: Desk, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._actions = actions
        self.setObjectName("toolbar")
        self.setWindowTitle(tr("Toolbar"))
        self.setMovable(False)
        self.setFloatable(False)
        self.toggleViewAction().setVisible(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.setIconSize(QSize(16, 16))
        # A change of theme would otherwise make it taller than it began.
        self.setFixedHeight(HEIGHT)
        self._labelled: list[QToolButton] = []
        self._kinds = {"topdown": tr("Top-down"), "bottomup": tr("Bottom-up"), "onestage": tr("One-stage")}
        self._build()
        desk.config_changed.connect(self._show_config)
        desk.running_changed.connect(self._show_running)
        desk.project_opened.connect(self._show_running)
        theme.notifier().changed.connect(self._new_theme)
        self._show_running()

    def _build(self) -> None:
        self._open = self._button("open", tr("Open"))
        self.addSeparator()
        self._run = self._button("run_all", tr("Run"))
        self._run.setProperty("primary", "true")
        self._run_more = QToolButton(self)
        self._run_more.setProperty("primary", "true")
        self._run_more.setFixedSize(22, 28)
        self._run_more.setAccessibleName(tr("Run menu"))
        self._run_more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._run_more)
        for name in ("run_frame", "run_range", "run_all", "run_continue"):
            menu.addAction(self._actions.by_id[name])
        menu.addSeparator()
        menu.addAction(self._actions.by_id["run_panel"])
        self._run_more.setMenu(menu)
        self.addWidget(self._run_more)
        self._pipeline = self._menu_box(tr("Pipeline"), "")
        self._device = self._menu_box(tr("Device"), "device")
        self.addSeparator()
        for name in ("undo", "redo"):
            self._icon(name)
        self.addSeparator()
        for name, drawn in (("snap", ""), ("swap_sides", ""), ("draw_box", "boxes")):
            self._icon(name, drawn)
        spacer = QWidget(self)
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spacer)
        self._export = self._button("export", tr("Export"))
        self._retrain = self._button("retrain", tr("Retrain"))
        self.addSeparator()
        self._icon("panels")
        self._theme = QToolButton(self)
        self._theme.setFixedSize(30, 28)
        self._theme.setAccessibleName(tr("Theme"))
        self._theme.setToolTip(tr("Dark or light"))
        self._theme.clicked.connect(lambda: pin_theme("light" if theme.current().dark else "dark"))
        self.addWidget(self._theme)

    def _button(self, action_id: str, text: str) -> QToolButton:
        button = QToolButton(self)
        made = self._actions.by_id[action_id]
        button.setProperty("icon_name", action(action_id).icon)
        button.setText(f" {text}")
        button.setToolTip(made.toolTip())
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setFixedHeight(28)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(made.trigger)
        made.changed.connect(lambda: button.setEnabled(made.isEnabled()))
        button.setEnabled(made.isEnabled())
        self.addWidget(button)
        self._labelled.append(button)
        return button

    def _icon(self, action_id: str, drawn: str = "") -> QToolButton:
        made: QAction = self._actions.by_id[action_id]
        if drawn:
            made.setIcon(icon(drawn))
        self.addAction(made)
        button = self.widgetForAction(made)
        if not isinstance(button, QToolButton):
            raise TypeError("a toolbar action has a button")
        button.setFixedSize(30, 28)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(tr(action(action_id).text))
        if drawn:
            button.setProperty("drawn", drawn)
        return button

    def _menu_box(self, name: str, drawn: str) -> QToolButton:
        box = QToolButton(self)
        box.setProperty("box", "true")
        box.setProperty("icon_name", drawn)
        box.setFixedHeight(28)
        box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        box.setAccessibleName(name)
        box.setToolTip(name)
        box.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        both = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        box.setToolButtonStyle(both if drawn else Qt.ToolButtonStyle.ToolButtonTextOnly)
        menu = QMenu(box)
        menu.aboutToShow.connect(lambda: self._fill_device(menu) if drawn else self._fill_pipeline(menu))
        box.setMenu(menu)
        self.addWidget(box)
        return box

    # --- pipeline and device ---

    def _fill_pipeline(self, menu: QMenu) -> None:
        from poseviewer.pipeline.config import applied_flip, has_bundled_estimator

        menu.clear()
        config = self._desk.config
        for pipeline, text in self._kinds.items():
            chosen = pipeline == config.pipeline
            if chosen or has_bundled_estimator(pipeline):
                made = menu.addAction(text)
                made.setCheckable(True)
                made.setChecked(chosen)
                made.triggered.connect(lambda _=False, name=pipeline: self._take_pipeline(name))
        menu.addSeparator()
        for text, on, change in (
            (tr("STN crops"), config.stn, {"stn": not config.stn}),
            (tr("Flip test"), applied_flip(config), {"flip": not applied_flip(config)}),
            (
                tr("Pose NMS"),
                config.nms.enabled,
                {"nms": msgspec.structs.replace(config.nms, enabled=not config.nms.enabled)},
            ),
        ):
            made = menu.addAction(text)
            made.setCheckable(True)
            made.setChecked(on)
            made.triggered.connect(lambda _=False, fields=change: self._change(fields))
        menu.addSeparator()
        menu.addAction(self._actions.by_id["run_panel"])

    def _fill_device(self, menu: QMenu) -> None:
        menu.clear()
        for name in devices():
            made = menu.addAction(tr("auto") if name == "auto" else name)
            made.setCheckable(True)
            made.setChecked(name == self._desk.config.device)
            made.triggered.connect(lambda _=False, chosen=name: self._change({"device": chosen}))

    def _take_pipeline(self, name: str) -> None:
        """Use another pipeline with the network that comes with PoseViewer: a named file is one of the pipeline before.

        Nothing happens to the pipeline that is in use already.
        """
        if name != self._desk.config.pipeline:
            self._change({"pipeline": name, "estimator": ""})
        self._show_config()

    def _change(self, fields: dict[str, object]) -> None:
        self._desk.set_config(msgspec.structs.replace(self._desk.config, **fields))

    def _show_config(self) -> None:
        config = self._desk.config
        weights = " + ".join(Path(name).stem for name in (config.detector, config.estimator) if name)
        words = f"{self._kinds.get(config.pipeline, config.pipeline)} · {weights or tr('bundled weights')}"
        if not config.stn:
            words += f" · {tr('STN off')}"
        self._pipeline.setText(f"{tr('Pipeline')}   {words}   ▾")
        device = self._desk.device_name or config.device
        self._device.setText(f" {tr('auto') if device == 'auto' else device}   ▾")

    def _show_running(self) -> None:
        ready = self._desk.info is not None and not self._desk.running
        self._run.setEnabled(ready)
        self._run_more.setEnabled(ready)
        self._new_theme()

    def _new_theme(self) -> None:
        for button in self._labelled:
            on_fill = button is self._run and button.isEnabled()
            token = "on_fill" if on_fill else "t2"
            button.setIcon(icon(str(button.property("icon_name")), theme.current().text(token)))
        self._run_more.setIcon(icon("chevron-down", theme.current().text("on_fill" if self._run.isEnabled() else "t3")))
        self._theme.setIcon(icon("dark" if theme.current().dark else "light"))
        self._device.setIcon(icon("device"))
        self._actions.by_id["draw_box"].setIcon(icon("boxes"))
        self._show_config()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Drop labels when there is no room for them."""
        super().resizeEvent(event)
        narrow = self.width() < NARROW
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if narrow else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        for button in (self._export, self._retrain, self._open):
            button.setToolButtonStyle(style)


def devices() -> tuple[str, ...]:
    """Return the devices to choose from, without loading torch: what the system's drivers show."""
    cards = sorted(path for path in Path("/dev").glob("nvidia[0-9]*"))
    return ("auto", "cpu", *(f"cuda:{index}" for index in range(len(cards))))
