"""The table of docs/golden.md: every file of a folder, how it is checked and how far it is off."""

from __future__ import annotations

from pathlib import Path

import pytest
from goldenfolder import CHECKS, Comparison, checks_of, is_named

ELSEWHERE = {"alphapose/nets_index.json": "tests/golden/check_net_forward.py (index of nets.npz)"}
"""Files that tests of their own read, by path below the folder. A row of the table says nothing about their error."""
PARTLY = {
    "alphapose/stn.npz": "sampling with corners off the pixel centres is torch's own and nobody's here",
    "hrnet_ae/state_dicts_mmpose.json": "RTMO, of which the reference gives names alone, is recognised but not built",
    "hrnet_ae/heatmap_wz.npz": "the changed visibility array is not reproduced on purpose",
}
"""What of a file nobody checks."""
WHOLE = "the whole file"


class Table:
    """What a run found out about each file."""

    KEY: pytest.StashKey[Table] = pytest.StashKey()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, list[Comparison]] = {}
        self._parts: dict[str, set[str]] = {}

    def note(self, file: str, part: str, comparisons: list[Comparison]) -> None:
        """Remember the comparisons of one part of a file."""
        self._found.setdefault(file, []).extend(comparisons)
        self._parts.setdefault(file, set()).add(part)

    def markdown(self) -> str:
        """The table as a document."""
        rows = [self._row(file) for file in files(self.folder)]
        lines = [
            "# Golden vectors",
            "",
            "Numbers that the public reference code computed, and how far PoseViewer is off. Written by",
            "`pytest tests/golden/test_vectors.py --golden-table docs/golden.md`; another folder of the same files is",
            "run with `pytest tests/golden --golden DIR` or with `POSEVIEWER_GOLDEN=DIR`.",
            "",
            "Worst error and tolerance belong to the comparison that uses the largest share of its tolerance;",
            "tolerance 0 means equal. A file that a test elsewhere reads names that test.",
            "",
            "| File | Comparisons | Worst error | Tolerance | Covered |",
            "|---|---:|---:|---:|---|",
            *rows,
        ]
        return "\n".join(lines) + "\n"

    def _row(self, file: str) -> str:
        found = self._found.get(file, [])
        if not found:
            return f"| {file} | | | | {elsewhere(file) or 'not covered yet'} |"
        worst = max(found, key=lambda c: (c.error / c.allowed if c.allowed else float(c.error > 0) * 1e9, c.error))
        parts = ", ".join(sorted(self._parts[file]))
        parts += "".join(f"; {left}" for known, left in PARTLY.items() if is_named(file, known))
        return f"| {file} | {len(found)} | {worst.error:.1e} | {worst.allowed:.0e} | {parts} |"


def files(folder: Path) -> list[str]:
    """All vector files of a folder, by path below it."""
    kinds = (".npz", ".json", ".gz")
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in kinds)


def elsewhere(file: str) -> str:
    """The test outside the harness that reads a file, or ""."""
    return next((test for known, test in ELSEWHERE.items() if is_named(file, known)), "")


def parts(folder: Path) -> list[tuple[str, str]]:
    """Every part to run: known ones, also where the file is absent, and files that nobody knows."""
    found = files(folder)
    there = [(file, part) for file in found for part in checks_of(file)]
    absent = [(file, part) for file, part in CHECKS if not any(is_named(other, file) for other in found)]
    strangers = [(file, WHOLE) for file in found if not checks_of(file) and not elsewhere(file)]
    return sorted([*there, *absent, *strangers])
