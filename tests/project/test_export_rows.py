"""Reading everything in pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_up import media_info, pose, result

from poseviewer.core.errors import CallError
from poseviewer.project import Project, edits
from poseviewer.project.export import PAGE

Run = Callable[..., int]


def test_what_is_included(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(300)), result(1), result(2, pose()), result(3, pose()))
    project.apply(edits.AcceptPrediction(media, 0, project.people(media, 0)[1].key))
    project.apply(edits.DeletePerson(media, 3, project.people(media, 3)[0].key))
    other = project.add_media(media_info("/b.mp4", fingerprint="bb"))
    project.apply(edits.AddPerson(other, 50, pose().keypoints))

    def listed(include: str) -> list[tuple[int, int, int]]:
        return [(row.media, row.frame, len(row.people)) for row in project.export_rows(include)]  # type: ignore[arg-type]

    assert listed("corrections") == [(media, 0, 1), (media, 3, 0), (other, 50, 1)]
    assert listed("predictions") == [(media, 0, 1), (media, 1, 0), (media, 2, 1), (media, 3, 0), (other, 50, 0)]
    assert listed("all") == [(media, 0, 2), (media, 1, 0), (media, 2, 1), (media, 3, 0), (other, 50, 1)]
    rows = list(project.export_rows("all", other))
    assert [(row.frame, row.timestamp_s) for row in rows] == [(50, 2.0)]
    with pytest.raises(CallError, match="corrections, predictions or all"):
        project.export_rows("everything")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_pages_join_without_gap_or_double(project: Project, media: int, run: Run, count: int) -> None:
    run(*[result(frame * 2) for frame in range(count)])
    assert [row.frame for row in project.export_rows("all", media)] == [frame * 2 for frame in range(count)]


def test_edits_may_go_on_between_pages(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose()) for frame in range(2 * PAGE)])
    rows = project.export_rows("all", media)
    next(rows)
    project.apply(edits.DeletePerson(media, 2 * PAGE - 1, project.people(media, 2 * PAGE - 1)[0].key))
    assert len(list(rows)[-1].people) == 0
