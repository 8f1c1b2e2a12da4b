"""Results of comparing trainings, as a file that grows run by run; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from poseviewer.core.errors import FormatError
from poseviewer.core.files import write_bytes


class Outcome(msgspec.Struct, frozen=True):
    """What one run gave.

    Attributes:
        run: its name; seed: of weights and draws.
        budget: how much was trained, in words; a run with another budget is another run.
        figures: by name.
        facts: what else must be known to judge the figures.
        processor_seconds: what it cost, training and measuring.
    """

    run: str
    seed: int
    budget: str
    figures: dict[str, float]
    facts: dict[str, str] = {}
    processor_seconds: float = 0.0


def read_outcomes(file: Path) -> list[Outcome]:
    """The results in a file, in its order; raises FormatError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Outcome])
    except OSError as error:
        raise FormatError(f"{file} cannot be read: {error.strerror}.", file=file) from error
    except msgspec.DecodeError as error:
        raise FormatError(f"{file} holds no results of ablations: {error}.", file=file) from error


def write_outcomes(file: Path, outcomes: Sequence[Outcome]) -> None:
    """Replace the results in a file; figures are kept to six places."""
    rounded = [
        msgspec.structs.replace(o, figures={key: round(value, 6) for key, value in o.figures.items()}) for o in outcomes
    ]
    write_bytes(file, msgspec.json.format(msgspec.json.encode(rounded), indent=1) + b"\n")
