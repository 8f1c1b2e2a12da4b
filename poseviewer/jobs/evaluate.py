"""Scoring results against annotations, as a job."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from poseviewer.core.progress import JobEvent, Note
from poseviewer.evaluation import Report


def evaluate_files(truth: str | Path, results: str | Path) -> Generator[JobEvent, None, Report]:
    """Score a COCO results list against an annotation file.

    Raises:
        FormatError: if a file is missing or wrong, or the two do not belong together.
    """
    from poseviewer.evaluation.coco import evaluate as score

    report = score(truth, results)
    for note in report.notes:
        yield Note(note)
    return report


def evaluate(truth: str | Path, results: str | Path) -> Report:
    """Score at once, without events. Raises as :func:`evaluate_files`."""
    job = evaluate_files(truth, results)
    while True:
        try:
            next(job)
        except StopIteration as end:
            report: Report = end.value
            return report
