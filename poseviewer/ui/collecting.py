"""Python's cycle collector, kept on the window's thread.

The collector runs on whichever thread happens to allocate. Widgets that ended in a reference cycle would then be
destroyed on the decode or engine thread, which Qt forbids; so it is run from a timer of the window's thread instead.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 1000


class Collector(QObject):
    """Collects on the thread it lives on while it exists; :meth:`stop` gives collecting back to Python."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thresholds = gc.get_threshold()
        self._was_on = gc.isenabled()
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.collect)
        gc.disable()
        self._timer.start()

    def collect(self) -> None:
        """Collect the oldest generation that is due."""
        counts = gc.get_count()
        for generation in (2, 1, 0):
            if counts[generation] > self._thresholds[generation]:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Let Python collect by itself again, if it did before."""
        self._timer.stop()
        if self._was_on:
            gc.enable()
