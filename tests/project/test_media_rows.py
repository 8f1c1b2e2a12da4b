"""Media: paths that survive a move, and recognising a file that was moved or encoded again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up import media_info, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.core.values import Finding
from poseviewer.project import Project, edits

Run = Callable[..., int]


def test_what_is_known_comes_back(project: Project) -> None:
    info = media_info(findings=(Finding("vfr", "The frame rate varies."),), colour="bt709 limited", confirmed=False)
    media = project.add_media(info)
    (row,) = project.media_list()
    assert (row.id, row.info, row.path, row.missing) == (media, info, info.path, True)
    assert project.add_media(media_info("/elsewhere.mp4")) == media
    assert project.add_media(media_info(fingerprint="other")) != media


def test_a_file_without_a_fingerprint_yet_is_known_by_its_path(project: Project) -> None:
    media = project.add_media(media_info(fingerprint="", confirmed=False))
    assert project.add_media(media_info(fingerprint="", confirmed=False)) == media
    assert project.add_media(media_info(fingerprint="ab")) == media
    project.relink_media(media, media_info().path, media_info(fingerprint="ab"))
    assert project.add_media(media_info(fingerprint="cd")) != media


def test_paths_are_found_again_after_the_folder_moved(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "videos").mkdir(parents=True)
    video = here / "videos" / "walk.mp4"
    video.write_bytes(b"x")
    with Project.create(here / "a.poseproj") as project:
        project.add_media(media_info(str(video)))
        (row,) = project.media_list()
        assert (row.relative, row.missing) == ("videos/walk.mp4", False)
    shutil.move(here, tmp_path / "there")
    with Project.open(tmp_path / "there" / "a.poseproj") as project:
        (row,) = project.media_list()
        assert row.path == row.info.path == str(tmp_path / "there" / "videos" / "walk.mp4")
        assert not row.missing
    shutil.copy(tmp_path / "there" / "a.poseproj", tmp_path / "alone.poseproj")
    with Project.open(tmp_path / "alone.poseproj") as project:
        (row,) = project.media_list()
        assert row.missing


def test_relinking_is_stored_at_once(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        media = project.add_media(media_info("/gone/walk.mp4"))
        found = tmp_path / "walk.mp4"
        found.write_bytes(b"x")
        project.relink_media(media, found, media_info(str(found)))
        with pytest.raises(ProjectError, match="no media 8"):
            project.relink_media(8, found, media_info(str(found)))
    with Project.open(tmp_path / "a.poseproj") as project:
        (row,) = project.media_list()
        assert (row.path, row.missing) == (str(found), False)


def test_a_moved_file_is_known_by_its_content(project: Project, media: int) -> None:
    found = project.match_media(media_info("/moved/other name.mp4"))
    assert (found.media, found.by, found.moved) == (media, "fingerprint", True)
    assert project.match_media(media_info(fingerprint="zz")).media is None


def test_a_file_that_was_encoded_again_is_known_by_its_frames(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose()) for frame in range(100, 400)])
    other = project.add_media(media_info("/videos/other.mp4", fingerprint="bb22"))
    asked: list[int] = []

    def similar(frame: int) -> str:
        asked.append(frame)
        return f"{frame ^ (0b111 << 40):016x}"  # three bits differ, as after another encoder

    again = media_info("/videos/walk.webm", fingerprint="cc33")
    found = project.match_media(again, similar)
    assert (found.media, found.by, found.moved) == (media, "frames", True)
    assert found.agreeing == found.checked == len(asked) <= 24
    assert found.checked > 3
    assert found.media != other
    foreign = project.match_media(again, lambda frame: f"{(frame * 0x9E3779B97F4A7C15) % 2**64:016x}")
    assert (foreign.media, foreign.by) == (None, "none")


def test_corrections_alone_are_enough_to_know_a_file_again(project: Project, media: int) -> None:
    for frame in (3, 700, 900):
        edit = edits.AddPerson(media, frame, pose().keypoints, fingerprint=f"{frame * 0x123456789:016x}")
        project.apply(edit)
    found = project.match_media(media_info(fingerprint="dd"), lambda frame: f"{frame * 0x123456789:016x}")
    assert (found.media, found.agreeing) == (media, 3)
