"""Known errors: what a person may meet, said in one sentence, apart from bugs.

A :class:`KnownError` names the file and the cause, may add a remedy, and carries the command line's exit code.
Anything that is not a ``KnownError`` is a bug: the window shows one general sentence, the log gets the traceback.
"""

from __future__ import annotations

from pathlib import Path


class KnownError(Exception):
    """Something a person can understand and act on.

    Attributes:
        sentence: one plain sentence naming what and why, without a trailing "try again".
        file: the file or folder it is about, if any.
        remedy: what to do next, one short sentence, or "".
        exit_code: the command line's exit status: 1 failed, 2 wrong call.
    """

    exit_code = 1

    def __init__(self, sentence: str, *, file: str | Path | None = None, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.file = Path(file) if file is not None else None
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class MediaError(KnownError):
    """A video, picture or folder that cannot be read as asked."""


class WeightsError(KnownError):
    """A weights file that is refused or does not fit."""


class ProjectError(KnownError):
    """A project file that cannot be opened or written."""


class FormatError(KnownError):
    """An annotation or results file with missing or wrong content."""


class DeviceError(KnownError):
    """A device that is absent, or out of memory even with the smallest batch."""


class MissingPartError(KnownError):
    """A library or system part that is not installed."""


class CallError(KnownError):
    """A wrong call: an option or value that makes no sense."""

    exit_code = 2
