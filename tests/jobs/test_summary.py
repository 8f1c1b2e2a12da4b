"""What an export would hold, before it is made."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from cocomade import finish, pose, result, write_pictures

from poseviewer.jobs.export import ExportOptions, export
from poseviewer.jobs.summary import summarise
from poseviewer.media import open_media
from poseviewer.project import Project, edits


def test_the_summary_counts_what_the_export_writes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png", "c.png"])
    with Project.create(tmp_path / "p.poseproj") as project, open_media(tmp_path / "p") as media:
        number = project.add_media(media.info)
        run = project.start_run(number, {}, {}, [0, 1, 2])
        project.store_results(run, [result(0, pose(seed=1), pose(30, 12, seed=2)), result(1, pose(seed=3)), result(2)])
        seen = np.array([2] * 10 + [1] * 4 + [0] * 3, np.uint8)
        points = np.full((17, 2), 20.0)
        points[0] = (81.6, 20)  # frame 1 is 82 pixels wide, frame 0 is 80
        project.apply(edits.AddPerson(media=number, frame=1, keypoints=points, visibility=seen, box=(1, 1, 60, 60)))
        everything = finish(summarise(project, "all"))
        report = finish(export(project, tmp_path / "out", ExportOptions(include="all")))
        corrected = finish(summarise(project, "corrections"))
    assert (everything.frames, everything.people) == (report.images, report.persons) == (3, 4)
    assert everything.empty_frames == 1
    assert (corrected.frames, corrected.people, corrected.joints) == (1, 1, 14)
    assert (corrected.visible, corrected.occluded, corrected.absent) == (10, 4, 3)
    assert (corrected.outside, corrected.first_outside) == (1, (number, 1))


def test_every_picture_of_a_folder_has_its_own_size(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for name, size in (("a.png", (60, 80)), ("b.png", (200, 300)), ("c.png", (20, 20))):
        cv2.imwrite(str(tmp_path / "p" / name), np.zeros((*size, 3), np.uint8))
    with Project.create(tmp_path / "p.poseproj") as project, open_media(tmp_path / "p") as media:
        number = project.add_media(media.info)
        for frame in range(3):
            points, seen = np.full((17, 2), 40.0), np.full(17, 2, np.uint8)
            points[0] = (250, 40)
            project.apply(
                edits.AddPerson(media=number, frame=frame, keypoints=points, visibility=seen, box=(1, 1, 60, 60))
            )
        found = finish(summarise(project, "corrections"))
    assert found.outside == 1 + 0 + 17
