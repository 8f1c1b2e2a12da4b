"""Figures of a training as tables, and on request for TensorBoard."""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseviewer.core.errors import MissingPartError


class Metrics:
    """Appends rows to one CSV table for each kind of figures in a folder; a continued training goes on in the same.

    Args:
        folder: must exist.
        tensorboard: also write TensorBoard's event files beside the tables.

    Raises:
        MissingPartError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self._folder = folder
        self._board: Any = _board(folder) if tensorboard else None

    def add(self, table: str, step: int, figures: Mapping[str, float]) -> None:
        """Append one row; figures that are no numbers stay empty."""
        path = self._folder / f"{table}.csv"
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if fresh:
                writer.writerow(["time", "step", *figures])
            now = datetime.datetime.now().isoformat(timespec="seconds")
            writer.writerow([now, step, *("" if math.isnan(value) else f"{value:.6g}" for value in figures.values())])
        if self._board is not None:
            for name, value in figures.items():
                if not math.isnan(value):
                    self._board.add_scalar(f"{table}/{name}", value, step)

    def close(self) -> None:
        """Write what is waiting."""
        if self._board is not None:
            self._board.close()


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPartError(
            "TensorBoard is not installed.", remedy="Install the package tensorboard, or leave --tensorboard out."
        ) from error
    return SummaryWriter(str(folder))
