"""A threshold that a person tries out: a slider and a field."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

from poseviewer.ui.panels.widgets import Label, NumberField

ASK_MS = 40
"""A dragged slider asks the engine at most this often."""


class Limit:
    """One threshold: a slider and a field that follow each other.

    Args:
        moved: called when a person moves it.
        field: of the configuration.
        name: as shown.
        step: of the slider.
        decimals: of the field.
    """

    def __init__(self, moved: Callable[[], None], field: str, name: str, step: float, decimals: int) -> None:
        self.field, self.name, self._step, self._told = field, name, step, moved
        self.label = Label(name)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(name)
        self.box = NumberField(name, decimals=decimals, step=step)
        self.slider.valueChanged.connect(lambda value: self._moved(value * self._step))
        self.box.changed.connect(self._moved)
        self._quiet = False
        self.set_range(1.0)

    def show_name(self, name: str, step: float) -> None:
        """Call the threshold something else; the slider moves by ``step``."""
        if name == self.name:
            return
        self.name, self._step = name, step
        self.label.setText(name)
        for control in (self.slider, self.box):
            control.setAccessibleName(name)
        self.set_range(self._top)
        self.show_value(self.value)

    def set_visible(self, *, shown: bool) -> None:
        """Show or hide the threshold."""
        for part in (self.label, self.slider, self.box):
            part.setVisible(shown)

    def set_range(self, top: float) -> None:
        """Let the threshold go from 0 to ``top``."""
        self._top = top
        quiet, self._quiet = self._quiet, True
        self.box.set_top(top)
        self.slider.setRange(0, round(top / self._step))
        self._quiet = quiet

    @property
    def value(self) -> float:
        """The threshold."""
        return self.box.value

    def show_value(self, value: float) -> None:
        """Show a value without asking."""
        quiet, self._quiet = self._quiet, True
        self.box.show_value(value)
        self.slider.setValue(round(value / self._step))
        self._quiet = quiet

    def _moved(self, value: float) -> None:
        if not self._quiet:
            self.show_value(value)
            self._told()
