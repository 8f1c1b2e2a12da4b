"""The desk: opening, looking, correcting, evidence, runs - with real files and a stand-in engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from window_tools import SECOND, people_of, store_people

from poseviewer.core.errors import CallError, DeviceError
from poseviewer.core.progress import Progress
from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE
from poseviewer.project import edits
from poseviewer.ui import settings
from poseviewer.ui.desk import Desk


@pytest.fixture
def said(bare_window):
    heard = []
    bare_window.desk.message.connect(heard.append)
    return heard


# --- opening ---


def test_opening_a_video_makes_its_project_beside_it_and_remembers_both(window, tmp_path):
    assert (tmp_path / "square.poseproj").exists()
    assert window.desk.media_id is not None
    assert settings.recent()[0].path == str(tmp_path / "square.mp4")
    assert "25 fps" in settings.recent()[0].note


def test_opening_again_goes_on_where_it_was(window, tmp_path, qtbot):
    desk = window.desk
    desk.select(frame=7)
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("occluded")
    desk.close_media()
    assert (desk.project, desk.info, desk.people) == (None, None, ())
    desk.open_paths([tmp_path / "square.poseproj"])
    qtbot.waitUntil(lambda: desk.info is not None and desk.frame_exact, timeout=20_000)
    assert desk.selection.frame == 7
    assert desk.people[0].visibility[9] == OCCLUDED
    assert desk.project.can_undo


def test_in_a_folder_that_cannot_be_written_the_project_goes_to_the_persons_own(
    bare_window, clip_file, tmp_path, qtbot, monkeypatch
):
    folder = tmp_path / "read only"
    folder.mkdir()
    clip = Path(shutil.copy(clip_file, folder / "a.mp4"))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and real(path, mode))
    bare_window.desk.open_paths([clip])
    qtbot.waitUntil(lambda: bare_window.desk.info is not None, timeout=20_000)
    assert Path(bare_window.desk.project.path).parent == tmp_path / "data" / "projects"
    assert not list(folder.glob("*.poseproj"))


def test_a_folder_of_pictures_is_one_media(bare_window, people_picture, tmp_path, qtbot):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("2.jpg", "10.jpg", "1.jpg"):
        shutil.copy(people_picture, folder / name)
    desk = bare_window.desk
    desk.open_paths([folder / "2.jpg", folder / "10.jpg"])
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    assert desk.info.frame_count == 3
    desk.select(frame=2)
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    assert desk.frame.name == "10.jpg"


@pytest.mark.parametrize(
    ("name", "content"), [("zero.mp4", b""), ("text.mp4", b"not a video at all\n" * 40), ("new.poseproj", b"nonsense")]
)
def test_what_cannot_be_opened_gets_one_sentence(bare_window, said, tmp_path, qtbot, name, content):
    (tmp_path / name).write_bytes(content)
    bare_window.desk.open_paths([tmp_path / name])
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    assert len(said) == 1
    assert said[0].level == "error"
    assert name in said[0].sentence
    assert "Traceback" not in said[0].sentence
    assert bare_window.desk.info is None
    assert bare_window.messages.isVisible()


def test_a_missing_file_is_told(bare_window, said, tmp_path, qtbot):
    bare_window.desk.open_paths([tmp_path / "gone.mp4"])
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    assert "gone.mp4" in said[0].sentence


def test_a_media_that_moved_is_asked_for_and_found(window, said, tmp_path, qtbot):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("occluded")
    desk.close_media()
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "renamed.mp4"
    (tmp_path / "square.mp4").rename(moved)
    said.clear()
    desk.open_paths([tmp_path / "square.poseproj"])
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    assert "square.mp4" in said[0].sentence
    assert said[0].actions[0][1] == "find_media"
    desk.relink(moved)
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    assert desk.people[0].visibility[9] == OCCLUDED


def test_opening_another_closes_the_first(window, clip_file, tmp_path, qtbot):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(clip_file, other / "b.mp4")
    first = window.desk.project.path
    window.desk.open_paths([other / "b.mp4"])
    qtbot.waitUntil(
        lambda: not window.desk.opening and window.desk.editable and window.desk.frame_exact, timeout=20_000
    )
    assert Path(window.desk.project.path) != Path(first)
    assert window.desk.people == ()
    from poseviewer.project import Project

    Project.open(first).close()


@pytest.mark.parametrize("name", ["damaged.mp4", "empty.mp4", "gone.mp4", "damaged.poseproj"])
def test_what_cannot_be_opened_leaves_what_is_open_alone(window, engine, said, tmp_path, qtbot, name):
    """Also a run that goes on, and the work in the background that is known by the ticket."""
    desk = window.desk
    if name == "empty.mp4":
        (tmp_path / name).touch()
    elif name.startswith("damaged"):
        (tmp_path / name).write_bytes(b"not a video at all\n" * 40)
    desk.select(frame=5)
    desk.do("run_all")
    project, info, ticket = desk.project, desk.info, desk._opener._ticket
    closed = []
    desk.project_opened.connect(lambda: closed.append(1))
    desk.open_paths([tmp_path / name])
    assert desk.opening == name
    assert window.status._media.text() == f"Opening {name}…"
    qtbot.waitUntil(lambda: any(name in message.sentence for message in said), timeout=20_000)
    assert desk.opening == ""
    assert (desk.project, desk.info, desk.selection.frame) == (project, info, 5)
    assert desk._opener._ticket == ticket
    assert desk.running
    assert engine.cancelled == 0
    assert not closed
    assert [card.message.level for card in window.messages.cards] == ["error"]


def test_what_is_open_is_opened_anew(window, tmp_path, qtbot):
    """The media, and a link to the project: both need the file that is held."""
    desk = window.desk
    desk.select(frame=7)
    (tmp_path / "link.poseproj").symlink_to(tmp_path / "square.poseproj")
    for name in ("square.mp4", "link.poseproj"):
        before = desk.project
        desk.open_paths([tmp_path / name])
        desk.open_paths([tmp_path / name])
        qtbot.waitUntil(lambda before=before: desk.project not in (None, before) and desk.frame_exact, timeout=20_000)
        assert desk.opening == ""
        assert desk.selection.frame == 7
        assert len(desk.people) == 2


def test_who_opens_anew_and_then_something_damaged_still_sees_the_first(window, said, tmp_path, qtbot):
    desk = window.desk
    (tmp_path / "bad.mp4").write_bytes(b"not a video at all\n" * 40)
    desk.open_paths([tmp_path / "square.mp4"])
    qtbot.waitUntil(lambda: desk.project is None, timeout=20_000)
    desk.open_paths([tmp_path / "bad.mp4"])
    qtbot.waitUntil(lambda: desk.opening == "" and desk.frame_exact, timeout=20_000)
    assert Path(desk.info.path).name == "square.mp4"
    assert ["bad.mp4" in message.sentence for message in said if message.level == "error"] == [True]


def test_two_that_need_one_project_file_open_one_after_the_other(window, clip_file, tmp_path, qtbot, said):
    desk = window.desk
    (tmp_path / "other").mkdir()
    other = Path(shutil.copy(clip_file, tmp_path / "other" / "b.mp4"))
    for names in (("square.poseproj", "square.mp4"), ("other/b.mp4", "square.mp4", "square.poseproj")):
        for name in names:
            desk.open_paths([tmp_path / name])
        qtbot.waitUntil(lambda: desk.opening == "" and desk.frame_exact, timeout=20_000)
        assert Path(desk.info.path).name == "square.mp4"
    desk.open_paths([other])
    desk.close_media()
    desk.open_paths([other])
    qtbot.waitUntil(lambda: desk.opening == "" and desk.frame_exact, timeout=20_000)
    assert Path(desk.info.path) == other
    assert [message for message in said if message.level == "error"] == []


def test_the_last_of_several_is_shown(window, clip_file, tmp_path, qtbot):
    others = [tmp_path / name / "b.mp4" for name in ("one", "two")]
    for other in others:
        other.parent.mkdir()
        shutil.copy(clip_file, other)
        window.desk.open_paths([other])
    qtbot.waitUntil(lambda: window.desk.editable and window.desk.opening == "", timeout=20_000)
    assert Path(window.desk.info.path) == others[-1]


# --- looking ---


def test_a_person_is_followed_from_frame_to_frame(window):
    desk = window.desk
    desk.select(person=desk.people[1].key, joint=9)
    for frame in (1, 2, 8):
        desk.select(frame=frame)
        assert desk.person_number(desk.selection.person) == 2
        assert desk.joint == 9
    desk.select(frame=20)
    assert desk.person is None
    desk.select(frame=9)
    assert desk.person_number(desk.selection.person) == 2
    desk.select(person=None)
    desk.select(frame=10)
    assert desk.person is None


def test_frames_are_clipped_and_steps_grow_while_a_key_is_held(window):
    desk = window.desk
    desk.do("frame_previous")
    assert desk.selection.frame == 0
    desk.do("frame_next")
    assert desk.selection.frame == 1
    for _ in range(24):
        desk.count_repeats(repeated=True)
    desk.do("frame_next")
    assert desk.selection.frame == 4
    desk.count_repeats(repeated=False)
    desk.do("frame_next")
    assert desk.selection.frame == 5
    desk.do("frame_next_100")
    assert desk.selection.frame == 23
    desk.do("frame_first")
    assert desk.selection.frame == 0


def test_the_exact_frame_comes_and_the_nearest_shows_before(window, qtbot):
    desk = window.desk
    seen = []
    desk.frame_changed.connect(lambda: desk.frame and seen.append((desk.frame.index, desk.frame_exact)))
    desk.select(frame=19)
    assert desk.frame is not None
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    assert desk.frame.index == 19
    assert seen[-1] == (19, True)
    assert all(exact == (index == 19) for index, exact in seen)


def test_jumps_go_to_frames_of_a_kind(window, said):
    desk = window.desk
    desk.select(frame=5)
    desk.select(person=desk.people[0].key, joint=3)
    desk.do("absent")
    desk.do("frame_first")
    desk.do("next_corrected")
    assert desk.selection.frame == 5
    said.clear()
    desk.do("next_corrected")
    assert desk.selection.frame == 5
    assert said[0].level == "info"


def test_playing_keeps_true_time_and_stops_at_the_end(window, qtbot):
    desk = window.desk
    desk.play(first=18, last=23)
    desk.select(frame=18)
    desk.do("play")
    assert desk.playhead.playing
    qtbot.waitUntil(lambda: not desk.playhead.playing, timeout=10_000)
    assert desk.selection.frame == 23
    desk.do("play")
    assert desk.selection.frame == 18
    desk.do("frame_next")
    assert not desk.playhead.playing


def test_the_range_is_set_at_the_playhead(window):
    desk = window.desk
    desk.select(frame=4)
    desk.do("range_first")
    desk.select(frame=9)
    desk.do("range_last")
    assert list(desk.range_frames()) == list(range(4, 10))
    desk.select(frame=2)
    desk.do("range_last")
    assert (desk.playhead.first, desk.playhead.last) == (None, 2)
    desk.do("range_clear")
    assert len(desk.range_frames()) == 24


# --- correcting ---


def test_saved_is_said_after_the_commit_and_the_edit_carries_its_frame(window):
    desk, order = window.desk, []
    desk.saving.connect(lambda: order.append("saving"))
    desk.changes.connect(lambda changes: order.append(changes.origin))
    desk.saved.connect(lambda _: order.append("saved"))
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("nudge_right")
    assert order == ["saving", "view", "saved"]
    x = people_of(0)[0].keypoints[9][0]
    assert desk.people[0].pose.keypoints[9][0] == pytest.approx(x + 1, abs=1e-3)


def test_an_edit_carries_what_identifies_its_frame(window, monkeypatch):
    from poseviewer.media import frame_fingerprint

    desk, seen = window.desk, []
    real = desk.project.apply
    monkeypatch.setattr(desk.project, "apply", lambda edit, **more: (seen.append((edit, more)), real(edit, **more)))
    desk.select(frame=2)
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("nudge_right")
    edit, more = seen[0]
    assert edit.nudge
    assert edit.timestamp_s == pytest.approx(2 / 25)
    assert desk.frame_exact
    assert edit.fingerprint == frame_fingerprint(desk.frame.pixels)
    assert (more["selection"].frame, more["selection"].joint) == (2, 9)


def test_an_edit_that_is_refused_is_not_shown_as_saved(window, said):
    desk, lights = window.desk, []
    desk.saved.connect(lambda _: lights.append("saved"))
    desk.not_saved.connect(lambda: lights.append("not saved"))
    assert not desk.apply(edits.MoveJoint(desk.media_id, 0, "p99999", 3, 1.0, 1.0))
    assert lights == ["not saved"]
    assert said[-1].level == "error"


def test_edits_wait_for_the_frame_table(bare_window, clip_file, tmp_path, said, qtbot, monkeypatch):
    from poseviewer.ui.opener import Opener

    monkeypatch.setattr(Opener, "_count", lambda self: None)
    clip = Path(shutil.copy(clip_file, tmp_path / "uncounted.mp4"))
    clip.write_bytes(clip.read_bytes() + b"\0" * 64)  # another file than the one whose table is cached
    desk = bare_window.desk
    desk.open_paths([clip])
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    if desk.editable:
        pytest.skip("this kind of file is confirmed at once")
    said.clear()
    assert not desk.apply(edits.AcceptPrediction(desk.media_id, 0, "p1"))
    assert "counted" in said[0].sentence


def test_undo_goes_back_to_the_place_of_the_edit(window):
    desk = window.desk
    desk.select(frame=3)
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("absent")
    desk.select(frame=10)
    desk.do("undo")
    assert desk.selection.frame == 3
    assert desk.people[0].visibility[9] == VISIBLE
    assert (desk.person_number(desk.selection.person), desk.joint) == (1, 9)
    desk.select(frame=11)
    desk.do("redo")
    assert desk.selection.frame == 3
    assert desk.people[0].visibility[9] == ABSENT


def test_keys_correct_a_person(window):
    desk = window.desk
    desk.do("person_2")
    assert desk.person_number(desk.selection.person) == 2
    before = desk.person.pose.keypoints.copy()
    desk.do("swap_sides")
    assert np.allclose(desk.person.pose.keypoints[9], before[10])
    desk.do("revert")
    assert desk.person.state == "predicted"
    desk.do("accept")
    assert desk.person.state == "corrected"
    desk.select(joint=4)
    desk.do("delete_joint")
    assert desk.person.visibility[4] == ABSENT
    desk.do("deselect")
    desk.do("delete_joint")
    assert len(desk.people) == 1


def test_accept_without_a_choice_accepts_everybody(window):
    window.desk.do("accept")
    assert [person.state for person in window.desk.people] == ["corrected", "corrected"]


def test_a_pose_is_copied_from_the_frame_before(window):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    for _ in range(5):
        desk.do("nudge_right_10")
    moved = desk.person.pose.keypoints.copy()
    desk.select(frame=1)
    desk.do("copy_previous")
    assert np.allclose(desk.person.pose.keypoints, moved, atol=1e-3)
    assert desk.people[1].state == "predicted"


def test_a_joint_action_without_a_joint_says_what_to_do(window, said):
    window.desk.do("occluded")
    assert "joint" in said[-1].sentence


# --- evidence ---


def test_evidence_is_asked_after_a_rest_and_only_where_a_run_was(window, engine, qtbot):
    desk = window.desk
    desk.select(frame=20)
    # On a busy machine the frame before may have rested long enough already.
    engine.asked.clear()
    qtbot.wait(350)
    assert engine.asked == []
    for frame in (3, 4, 5):
        desk.select(frame=frame)
    qtbot.waitUntil(lambda: bool(engine.asked), timeout=5_000)
    qtbot.wait(200)
    assert [request.frame for request in engine.asked] == [5]
    assert desk.evidence_state == "loading"
    engine.reply(engine.asked[-1], people_of(5))
    assert desk.evidence_state == "ready"
    assert [desk.candidate_of(person.key) for person in desk.people] == [0, 1]


def test_a_late_answer_is_kept_for_its_frame_and_not_shown(window, engine, qtbot):
    desk = window.desk
    desk.request_evidence()
    late = engine.asked[-1]
    desk.select(frame=4)
    engine.reply(late, people_of(0))
    assert desk.evidence is None
    desk.select(frame=0)
    assert desk.evidence is not None
    assert desk.evidence_state == "ready"


def test_the_next_best_peak_and_round_again(evident):
    desk = evident.desk
    first = desk.person.pose.keypoints[9].copy()
    desk.do("next_peak")
    assert np.allclose(desk.person.pose.keypoints[9] - first, SECOND, atol=2.5)
    desk.do("next_peak")
    assert np.allclose(desk.person.pose.keypoints[9], first, atol=2.5)
    desk.do("previous_peak")
    assert np.allclose(desk.person.pose.keypoints[9] - first, SECOND, atol=2.5)


def test_a_corrected_person_keeps_its_evidence(evident):
    desk = evident.desk
    desk.do("nudge_right_10")
    assert desk.candidate_of(desk.person.key) == 0
    assert len(desk.peaks(desk.person.key, 9)) == 2


def test_a_person_without_a_candidate_gets_evidence_of_its_own_box(evident, engine, qtbot):
    from window_tools import person

    desk = evident.desk
    pose = person(255, 60, 120)
    assert desk.apply(edits.AddPerson(desk.media_id, 0, pose.keypoints, None, pose.box))
    added = desk.people[-1].key
    desk.select(person=added)
    assert desk.candidate_of(added) is None
    qtbot.waitUntil(lambda: bool(engine.asked), timeout=5_000)
    request = engine.asked[-1]
    assert np.allclose(request.boxes, [pose.box])
    engine.reply(request, (pose,))
    assert desk.candidate_of(added) == 2
    assert len(desk.people) == 3


def test_what_if_goes_out_with_the_candidates_and_comes_back(evident, engine):
    from poseviewer.pipeline.config import NmsConfig

    desk = evident.desk
    desk.what_if_nms(NmsConfig(gamma=5.0))
    request = engine.asked[-1]
    assert request.nms.gamma == 5.0
    assert len(request.candidates.keypoints) == 2
    engine.reply(request)
    assert desk.what_if is not None
    desk.select(frame=1)
    assert desk.what_if is None


def test_an_error_of_the_engine_is_one_sentence(window, engine, said):
    desk = window.desk
    desk.request_evidence()
    engine.reply(engine.asked[-1], error=DeviceError("There is not enough memory for one person."))
    assert desk.evidence_state == "error"
    assert said[-1].sentence == "There is not enough memory for one person."


# --- runs ---


def test_a_run_is_submitted_once_and_its_progress_comes_home(window, engine, said):
    desk = window.desk
    desk.do("run_all")
    assert desk.running
    assert len(engine.jobs) == 1
    desk.do("run_frame")
    assert len(engine.jobs) == 1
    assert "already" in said[-1].sentence
    heard = []
    desk.job_event.connect(heard.append)
    desk.runs.job_event.emit(Progress(3, 24, seconds=2.0, seconds_left=14.0))
    assert heard[0].done == 3
    desk.do("cancel_run")
    assert engine.cancelled == 1
    desk.runs._ended(None)
    assert not desk.running


def test_a_stopped_run_goes_on_with_its_own_configuration(window, engine, monkeypatch):
    asked = {}

    def predict(project, media, media_id, frames, config, engine, *, continue_run):
        asked.update(frames=frames, confidence=config.confidence, run=continue_run)
        yield from ()

    monkeypatch.setattr("poseviewer.jobs.predict.predict", predict)
    desk = window.desk
    run = desk.project.start_run(desk.media_id, {"confidence": 0.625}, {"estimator": {"name": "made up"}}, range(4))
    desk.project.finish_run(run, "cancelled")
    desk.do("run_continue")
    (job,) = engine.jobs
    made_up = SimpleNamespace(detector=None, describe=lambda: {"estimator": {"name": "made up"}})
    engine.networks = lambda config: made_up
    for _ in job(engine):
        pass
    assert asked == {"frames": [0, 1, 2, 3], "confidence": 0.625, "run": run}


def test_predictions_of_a_job_show_and_corrections_stay(window):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("nudge_right_10")
    place = desk.person.pose.keypoints[9].copy()
    store_people(window, range(12))
    assert len(desk.people) == 2
    assert desk.people[0].state == "corrected"
    assert np.allclose(desk.people[0].pose.keypoints[9], place)


def test_a_desk_without_media_does_nothing_and_says_nothing_wrong(qtbot):
    desk = Desk()
    for name in ("accept", "frame_next", "play", "undo", "run_all", "cancel_run", "next_peak", "range_first"):
        desk.do(name)
    assert desk.people == ()
    desk.shutdown()


def test_another_video_in_the_place_of_the_old_one_is_noticed(window, said, people_picture, tmp_path, qtbot):
    import av

    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("occluded")
    desk.close_media()
    import cv2

    picture = cv2.resize(cv2.imread(str(people_picture))[..., ::-1], (320, 240))
    with av.open(str(tmp_path / "square.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for shift in range(24):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.roll(picture, 9 * shift, axis=1)), format="rgb24"
            )
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    said.clear()
    desk.open_paths([tmp_path / "square.poseproj"])
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    assert "other pictures" in said[0].sentence
    assert [text for text, _ in said[0].actions] == ["Find…", "Use it anyway"]
    assert desk.info is None
    said[0].actions[1][1]()
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=20_000)
    assert desk.people[0].visibility[9] == OCCLUDED


def test_evidence_is_stale_after_another_configuration_was_set(evident):
    import msgspec

    desk = evident.desk
    before = desk.config
    desk.set_config(msgspec.structs.replace(before, confidence=0.6))
    assert desk.evidence_state == "stale"
    assert desk.evidence is not None
    desk.set_config(before)
    assert desk.evidence_state == "ready"


def test_a_project_of_two_media_shows_either_and_undo_goes_to_the_right_one(window, clip_file, tmp_path, qtbot):
    from poseviewer.media import open_media

    desk = window.desk
    other = tmp_path / "second.mp4"
    other.write_bytes(clip_file.read_bytes() + bytes(16))
    with open_media(other) as media:
        second = desk.project.add_media(media.info)
    first = desk.media_id
    assert second != first
    desk.select(frame=4)
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("absent")
    desk.show_media(second)
    qtbot.waitUntil(lambda: desk.media_id == second and desk.frame_exact and desk.editable, timeout=20_000)
    assert desk.people == ()
    assert Path(desk.info.path).name == "second.mp4"
    assert window.menus["Media"].menuAction().isVisible()
    desk.do("undo")
    qtbot.waitUntil(lambda: desk.media_id == first and desk.frame_exact, timeout=20_000)
    assert desk.selection.frame == 4
    assert desk.people[0].visibility[9] == VISIBLE


# --- continuing and discarding runs ---


class MadeUpNetworks:
    """Networks that are only described."""

    detector = None

    def __init__(self, estimator="aa", detector="dd"):
        self._described = {
            "estimator": {"name": "e", "sha256": estimator},
            "detector": {"name": "d", "sha256": detector},
        }

    def describe(self):
        return self._described


def stop_a_run(desk, outcome="cancelled", frames=range(4), networks=None):
    made = networks or MadeUpNetworks().describe()
    run = desk.project.start_run(desk.media_id, {}, made, frames)
    desk.project.finish_run(run, outcome)
    return run


@pytest.fixture
def predicted(monkeypatch):
    """What the predict job was asked for."""
    asked = []

    def predict(project, media, media_id, frames, config, engine, *, continue_run):
        asked.append((frames, continue_run))
        yield from ()

    monkeypatch.setattr("poseviewer.jobs.predict.predict", predict)
    return asked


def test_a_run_that_came_to_its_end_is_not_taken_up_again(window, engine, said):
    """A done run that lacks frames has some that nobody can read; what was imported has no networks."""
    stop_a_run(window.desk, "done")
    run = window.desk.project.start_run(window.desk.media_id, {}, {}, range(4))
    window.desk.project.finish_run(run, "cancelled")
    window.desk.do("run_continue")
    assert engine.jobs == []
    assert "No run was stopped" in said[-1].sentence


def test_a_stopped_run_goes_on_with_the_same_weights_only(window, engine, predicted):
    run = stop_a_run(window.desk)
    window.desk.do("run_continue")
    (job,) = engine.jobs
    engine.networks = lambda config: MadeUpNetworks("another")
    with pytest.raises(CallError, match="estimator e is not the one that the run began with"):
        list(job(engine))
    assert predicted == []
    engine.networks = lambda config: MadeUpNetworks(detector="another")
    with pytest.raises(CallError, match="detector d is not the one"):
        list(job(engine))
    engine.networks = lambda config: MadeUpNetworks()
    list(job(engine))
    assert predicted == [([0, 1, 2, 3], run)]


def test_an_old_run_is_discarded_after_one_question(window, engine, qtbot):
    from poseviewer.ui.dialogs.run import RunDialog

    desk = window.desk
    desk.select(person=desk.people[0].key)
    desk.do("accept")
    stopped = stop_a_run(desk)
    dialog = RunDialog(desk, window)
    assert [row.id for row in dialog._rows] == [stopped, 1]
    continues = {run.id: dialog.menu(row).actions()[0].isEnabled() for row, run in enumerate(dialog._rows)}
    assert continues == {stopped: True, 1: False}
    dialog.ask_discard(dialog._rows[1])
    assert dialog.question.defaultButton().text() == "Keep"
    dialog.question.buttons()[1].click()
    assert desk.project.run_frames(1) != ()
    dialog.ask_discard(dialog._rows[1])
    with qtbot.waitSignal(desk.noted, timeout=10_000) as noted:
        dialog.question.buttons()[0].click()
    assert noted.args == ["run 1 discarded, 12 frames"]
    qtbot.waitUntil(lambda: dialog.earlier.rowCount() == 1, timeout=5_000)
    assert [person.state for person in desk.people] == ["corrected"]
    desk.undo()
    desk.redo()
    assert [person.state for person in desk.people] == ["corrected"]
    dialog.close()


def test_the_run_that_is_going_cannot_be_discarded(window, engine):
    desk = window.desk
    run = desk.project.start_run(desk.media_id, {}, {"estimator": {}}, range(4))
    desk.do("run_all")
    assert desk.running
    assert not desk.runs.may_discard(run)
    assert desk.runs.may_discard(1)
    assert not desk.runs.may_discard(99)
    assert desk.runs.discard(run) is None
