"""How far two runs, or a run and the corrections, agree over many frames."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from poseviewer.core.progress import JobEvent, Progress
from poseviewer.evaluation.agreement import ON_SCREEN, agreement, answers, pairs
from poseviewer.project import Project

EVERY = 32
"""Frames between two signs of life."""


def agree(
    project: Project, media: int, frames: Iterable[int], first: int, second: int, *, below: float | None = None
) -> Generator[JobEvent, None, dict[int, float]]:
    """Return the mean OKS of the people of each frame (:func:`poseviewer.evaluation.agreement.agreement`).

    Args:
        project: where the predictions are.
        media: whose frames.
        frames: indices, in the order in which they are read.
        first, second: runs, or ON_SCREEN.
        below: stop after the first frame with a smaller value.

    Returns:
        frame -> 0..1, NaN where neither side has anybody, and where a run never came.
    """
    kit = project.skeleton
    found: dict[int, float] = {}
    done = [_done(project, run) for run in (first, second) if run != ON_SCREEN]
    for number, frame in enumerate(frames):
        if number % EVERY == 0:
            yield Progress(number, 0)
        if any(frame not in frames_of_run for frames_of_run in done):
            found[frame] = float("nan")
            continue
        sides = [answers(project, media, frame, side) for side in (first, second)]
        found[frame] = agreement(pairs(sides[0], sides[1], kit))
        if below is not None and found[frame] < below:
            break
    return found


def _done(project: Project, run: int) -> frozenset[int]:
    return frozenset(project.run_frames(run)) - frozenset(project.unfinished(run))
