"""Corrections find their frames again in files that were cut, scaled or encoded anew."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poseviewer.jobs.carrying import carry_over, look_for_shift
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import frame_fingerprint, open_media
from poseviewer.project import Project, edits

WIDTH, HEIGHT, FRAMES = 160, 120, 40


def scene() -> list[np.ndarray]:
    """A walk over a large picture of soft blobs: neighbouring frames are alike, distant ones are not."""
    rng = np.random.default_rng(5)
    wide = cv2.resize(rng.integers(0, 255, (16, 60, 3), dtype=np.uint8), (900, 240), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(wide[3 * f : 3 * f + HEIGHT, 18 * f : 18 * f + WIDTH]) for f in range(FRAMES)]


def write(path: Path, frames: list[np.ndarray], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Encode frames, in another size if wanted."""
    with video_writer(path, size, 25) as writer:
        for frame in frames:
            writer.add(cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if size != (WIDTH, HEIGHT) else frame)
    return path


def finish(job):  # type: ignore[no-untyped-def]
    """Run a job and return its result."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


@pytest.fixture
def corrected(tmp_path: Path) -> Project:
    """A project whose media has corrections in frames 5, 12, 20 and 33, and nothing else."""
    with open_media(write(tmp_path / "whole.mp4", scene())) as media:
        media.confirm()
        project = Project.create(tmp_path / "a.poseproj")
        number = project.add_media(media.info)
        for frame in (5, 12, 20, 33):
            mark = frame_fingerprint(media.frame(frame).pixels)
            points = np.stack([np.linspace(20, 90, 17), np.linspace(10, 100, 17)], axis=1) + frame
            edit = edits.AddPerson(
                number, frame, points.tolist(), track=3, extra='{"id": 9}', fingerprint=mark, timestamp_s=frame / 25
            )
            project.apply(edit)
    return project


@pytest.mark.parametrize(("first", "last"), [(0, 40), (4, 36), (15, 40), (3, 30)])
def test_a_cut_file_is_found_to_the_frame(corrected: Project, tmp_path: Path, first: int, last: int) -> None:
    with corrected as project, open_media(write(tmp_path / "cut.mp4", scene()[first:last])) as media:
        media.confirm()
        inside = sum(first <= frame < last for frame in (5, 12, 20, 33))
        shift = finish(look_for_shift(project, 1, media))
        if inside < 3:
            assert shift is None
            return
        assert (shift.media, shift.offset, shift.compared) == (1, first, inside)


def test_another_film_is_none(corrected: Project, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    noise = [rng.integers(0, 255, (12, 16, 3), dtype=np.uint8) for _ in range(30)]
    frames = [cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for frame in noise]
    with corrected as project, open_media(write(tmp_path / "other.mp4", frames)) as media:
        media.confirm()
        assert finish(look_for_shift(project, 1, media)) is None


def test_corrections_go_to_the_frames_that_show_the_same_in_the_right_size(corrected: Project, tmp_path: Path) -> None:
    small = write(tmp_path / "small.mp4", scene()[4:30], (WIDTH // 2, HEIGHT // 2))
    with corrected as project, open_media(small) as media:
        media.confirm()
        shift = finish(look_for_shift(project, 1, media))
        assert shift.offset == 4
        target, taken, left = finish(carry_over(project, shift, media))
        assert (taken, left) == (3, 1)
        assert project.corrected_frames(target) == (1, 8, 16)
        (old,), (new,) = project.people(1, 12), project.people(target, 8)
        np.testing.assert_allclose(new.pose.keypoints, (old.pose.keypoints + 0.5) / 2 - 0.5, atol=1e-4)
        np.testing.assert_allclose(new.pose.box, (old.pose.box + 0.5) / 2 - 0.5, atol=1e-4)
        assert new.pose.track == 3
        assert list(project.extras(target, 8).values()) == ['{"id": 9}']
        assert project.frame_row(target, 8).fingerprint == frame_fingerprint(media.frame(8).pixels)
        assert finish(carry_over(project, shift, media))[1] == 0
        project.undo()
        assert project.corrected_frames(target) == ()
        assert project.corrected_frames(1) == (5, 12, 20, 33)


def test_a_cut_or_scaled_file_is_never_taken_for_the_old_one_as_it_is(corrected: Project, tmp_path: Path) -> None:
    """Neighbouring frames look alike, so a file that lost two frames would pass, with corrections two frames off."""
    with corrected as project:
        for name, frames, size in (
            ("cut.mp4", scene()[2:], (WIDTH, HEIGHT)),
            ("small.mp4", scene(), (WIDTH // 2, HEIGHT // 2)),
        ):
            with open_media(write(tmp_path / name, frames, size)) as media:
                info = media.confirm()
                found = project.match_media(
                    info, lambda frame, media=media: frame_fingerprint(media.frame(frame).pixels)
                )
                assert found.media is None, name
        with open_media(write(tmp_path / "again.mp4", scene())) as media:
            info = media.confirm()
            found = project.match_media(info, lambda frame: frame_fingerprint(media.frame(frame).pixels))
            assert found.media == 1
