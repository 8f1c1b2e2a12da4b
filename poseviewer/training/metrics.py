"""Figures of a training as tables, and on request for TensorBoard."""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseviewer.core.errors import MissingPartError
from poseviewer.core.files import write_bytes


class Metrics:
    """Appends rows to one CSV table for each kind of figures in a folder; a continued training goes on in the same.

    Rows of steps that will be done again, because the training was cut off behind its last checkpoint, are dropped: a
    curve has every step once.

    Args:
        folder: must exist.
        tensorboard: also write TensorBoard's event files beside the tables.
        after: step that the training goes on from; None where it is not known: then it is the first added row's.

    Raises:
        MissingPartError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False, after: int | None = None) -> None:
        self._folder = folder
        self._after = after
        self._known: set[str] = set()
        self._board: Any = _board(folder, after) if tensorboard else None

    def add(self, table: str, step: int, figures: Mapping[str, float]) -> None:
        """Append one row; figures that are no numbers stay empty."""
        path = self._folder / f"{table}.csv"
        fresh = not path.exists()
        if table not in self._known:
            self._known.add(table)
            if not fresh:
                _drop(path, step if self._after is None else self._after + 1)
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


def _drop(path: Path, step: int) -> None:
    """Take the rows from a step on out of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    # The last row may have been cut off in the middle.
    whole = [row for row in rows[1:] if len(row) == len(rows[0]) and row[1].isdecimal() and int(row[1]) < step]
    if rows and whole != rows[1:]:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([rows[0], *whole])
        write_bytes(path, text.getvalue().encode())


def _board(folder: Path, after: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPartError(
            "TensorBoard is not installed.", remedy="Install the package tensorboard, or leave --tensorboard out."
        ) from error
    return SummaryWriter(str(folder), purge_step=None if after is None else after + 1)
