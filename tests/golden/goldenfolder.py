"""What a check of golden vectors is made of: the folder, the parts of a file, and comparisons with tolerances."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "golden"
COMMITTED = HERE / "vectors"
Array = npt.NDArray[np.generic]


def find_folder(option: str | None) -> Path:
    """The folder of vectors: the option, POSEVIEWER_GOLDEN, ../shared/golden, or the small committed ones."""
    named = option or os.environ.get("POSEVIEWER_GOLDEN")
    if named:
        folder = Path(named).expanduser().resolve()
        if not folder.is_dir():
            raise pytest.UsageError(f"there is no folder of golden vectors at {folder}")
        return folder
    return SHARED if SHARED.is_dir() else COMMITTED


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of one case: the largest difference from the reference and what is allowed."""

    case: str
    error: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the difference is allowed; not so where it is NaN."""
        return self.error <= self.allowed


class Vectors:
    """The arrays of one file; an absent one skips the part that asks for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content: dict[str, Array] = {}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                self._content = dict(stored.items())

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self._content:
            pytest.skip(f"{self.path.name} has no {name}")
        return self._content[name]

    def tensor(self, name: str) -> torch.Tensor:
        """An array as a tensor of its own type."""
        return torch.from_numpy(np.ascontiguousarray(self[name]))

    def names(self, prefix: str = "") -> list[str]:
        """The stored names that begin so, sorted."""
        return sorted(name for name in self._content if name.startswith(prefix))

    def json(self, name: str = "meta_json") -> list[dict[str, object]]:
        """A stored JSON text, decoded."""
        decoded: list[dict[str, object]] = json.loads(str(self[name]))
        return decoded


Check = Callable[[Vectors], Iterator[Comparison]]
CHECKS: dict[tuple[str, str], Check] = {}


def check(file: str, part: str) -> Callable[[Check], Check]:
    """Enter a function into the table of checks under a file's path below the folder and the part's name.

    A path with ``*`` stands for all files of that form, also those whose names nobody knows yet.
    """

    def enter(function: Check) -> Check:
        if (file, part) in CHECKS:
            raise ValueError(f"{file} has two checks called {part}")
        CHECKS[file, part] = function
        return function

    return enter


def checks_of(file: str) -> dict[str, Check]:
    """The parts that check a file, by name; its own name decides, whatever folder it lies in."""
    return {part: function for (pattern, part), function in CHECKS.items() if is_named(file, pattern)}


def is_named(file: str, pattern: str) -> bool:
    """Whether a file's own name is that of a path, in which ``*`` stands for anything."""
    return fnmatchcase(Path(file).name, Path(pattern).name)


def close(case: str, found: object, wanted: object, allowed: float, *, relative: bool = False) -> Comparison:
    """Compare numbers: NaN only where the reference has NaN; ``relative``: to the reference's largest value."""
    mine, theirs = _numbers(found), _numbers(wanted)
    # The references answer nobody with empty arrays of several shapes.
    if mine.shape != theirs.shape and (mine.size or theirs.size):
        return Comparison(f"{case}: shape {mine.shape} for {theirs.shape}", np.inf, allowed)
    if not theirs.size:
        return Comparison(case, 0.0, allowed)
    known = np.isfinite(theirs)
    if not np.array_equal(mine[~known], theirs[~known], equal_nan=True):
        return Comparison(f"{case}: not finite in other places", np.inf, allowed)
    error = float(np.abs(mine[known] - theirs[known]).max(initial=0.0))
    if relative:
        error /= max(float(np.abs(theirs[known]).max(initial=0.0)), 1e-12)
    return Comparison(case, error, allowed)


def same(case: str, found: object, wanted: object) -> Comparison:
    """Compare what has to be equal: indices, masks, groups."""
    return close(case, found, wanted, 0.0)


def _numbers(values: object) -> npt.NDArray[np.float64]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
