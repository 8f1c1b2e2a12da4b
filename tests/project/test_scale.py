"""Cost does not grow with the project: the same statements, from indexes, touching as many rows.

Wall time is for ``tests/benchmarks/bench_project.py``; here the structure is looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_up import media_info, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.project import Project, edits
from poseviewer.project.connection import Turn
from poseviewer.project.doubts import QUEUE
from poseviewer.project.queries import next_sql


@contextmanager
def traced(project: Project) -> Iterator[list[str]]:
    """Collect the statements that run inside the block."""
    statements: list[str] = []
    connection = project._database._connection
    connection.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        connection.set_trace_callback(None)


def filled(path: Path, frames: int, *, far: int = 0) -> Project:
    """A project with ``frames`` predicted frames, one correction in ten, and ``far`` frames in blocks of their own."""
    project = Project.create(path)
    media = project.add_media(media_info(frames=frames))
    predicted = [*range(frames), *range(1000, 1000 + far * 520, 520)]
    run = project.start_run(media, {}, {}, predicted)
    project.store_results(run, [result(f, pose(track=1), pose(300, track=2, score=0.1)) for f in predicted])
    picks = [edits.AcceptPrediction(media, f, project.people(media, f)[0].key) for f in range(0, frames, 10)]
    project.apply_many(picks, name="Accept")
    return project


WORK: dict[str, Callable[[Project], object]] = {
    "step": lambda p: p.people(1, 5),
    "edit": lambda p: p.apply(edits.MoveJoint(1, 5, p.people(1, 5)[0].key, 3, 1, 1)),
    "undo": lambda p: p.undo(),
    "redo": lambda p: p.redo(),
    "next": lambda p: [p.next_of(1, 4, kind) for kind in ("corrected", "predicted", "empty")],
    "worth a look": lambda p: p.worth_a_look(1, 2),
    "lanes": lambda p: p.lanes(1, 0, 9, 5, joint=2),
    "tracks": lambda p: p.tracks(1, 0, 9),
    "run": lambda p: p.store_results(p.start_run(1, {}, {}, [7]), [result(7, pose(track=1))]),
}


def test_a_larger_project_runs_no_more_statements_and_visits_no_more_rows(tmp_path: Path) -> None:
    small_one, large_one = filled(tmp_path / "small.poseproj", 10), filled(tmp_path / "large.poseproj", 400, far=150)
    with small_one as small, large_one as large:
        for name, work in WORK.items():
            counts, steps = [], []
            for project in (small, large):
                ticks = [0]

                def tick(ticks: list[int] = ticks) -> int:
                    ticks[0] += 1
                    return 0

                project._database._connection.set_progress_handler(tick, 1)
                with traced(project) as statements:
                    work(project)
                project._database._connection.set_progress_handler(None, 1)
                counts.append(len(statements))
                steps.append(ticks[0])
            assert counts[0] == counts[1], name
            # SQLite's own instructions: a scan of 400 frames would need thousands more.
            assert steps[1] <= steps[0] + 60, (name, steps)


def test_no_query_of_the_window_scans_a_table(tmp_path: Path) -> None:
    short = {"media", "run", "track", "lane", "sqlite_master"}  # a handful of rows, or read whole on purpose
    with filled(tmp_path / "a.poseproj", 50) as project:
        with traced(project) as statements:
            for work in WORK.values():
                work(project)
            project.frame_row(1, 3)
            project.counts()
            project.corrected_frames(1)
            list(project.export_rows("corrections"))
            list(project.export_rows("all"))
            project.unfinished(1)
            project.store_results(project.start_run(1, {}, {}, [7]), [result(7, pose())])
        with project._database.read() as db:
            scans = [
                (detail, statement)
                for statement in {
                    text for text in statements if text.startswith(("SELECT", "\nSELECT", "DELETE", "UPDATE"))
                }
                for (*_, detail) in db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                if detail.startswith("SCAN") and detail.split()[1] not in short
            ]
    # Counting goes over the entries of an index; there are as many as corrections, not as frames.
    scans = [(detail, text) for detail, text in scans if "COVERING INDEX" not in detail or "count(*)" not in text]
    # The journal's two ends, read backwards by its key with LIMIT 1.
    scans = [(detail, text) for detail, text in scans if "SCAN journal" not in detail or "LIMIT 1" not in text]
    assert scans == []


@pytest.mark.parametrize("kind", ["corrected", "predicted", "empty", "doubt"])
@pytest.mark.parametrize("forward", [True, False])
def test_jumps_search_an_index_without_sorting(tmp_path: Path, kind: str, *, forward: bool) -> None:
    with filled(tmp_path / "a.poseproj", 20) as project, project._database.read() as db:
        # A doubt is sought in the queue, whatever the direction.
        sql = QUEUE if kind == "doubt" else next_sql(kind, forward=forward)  # type: ignore[arg-type]
        plan = [detail for (*_, detail) in db.execute(f"EXPLAIN QUERY PLAN {sql}", (1, 5))]
    assert plan[0].startswith("SEARCH")
    assert not any("TEMP B-TREE" in detail or detail.startswith("SCAN") for detail in plan)


# --- threads ---


def test_an_edit_goes_before_a_waiting_job() -> None:
    turn = Turn()
    order: list[str] = []
    begun = threading.Event()

    def wait(name: str, *, job: bool) -> None:
        begun.set()
        with turn.take(job=job):
            order.append(name)

    with turn.take():
        job = threading.Thread(target=wait, args=("job",), kwargs={"job": True})
        job.start()
        begun.wait()
        begun.clear()
        edit = threading.Thread(target=wait, args=("edit",), kwargs={"job": False})
        edit.start()
        begun.wait()
        while turn._edits_waiting == 0:
            pass
        with turn.take(job=True):  # the thread that has it may take it again
            order.append("first")
    job.join(5)
    edit.join(5)
    assert order == ["first", "edit", "job"]


def test_a_run_and_edits_from_two_threads_lose_nothing(tmp_path: Path) -> None:
    with filled(tmp_path / "a.poseproj", 60) as project:
        told: list[int] = []
        project.changes.connect(lambda changes: told.append(changes.revision))
        before = project.revision
        run = project.start_run(1, {}, {}, range(60))
        failed: list[BaseException] = []

        def predict() -> None:
            try:
                for frame in range(60):
                    project.store_results(run, [result(frame, pose(noise=frame + 1), pose(301))])
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=predict)
        thread.start()
        for frame in range(60):
            key = project.people(1, frame)[0].key
            project.apply(edits.MoveJoint(1, frame, key, 9, frame, frame))
            project.lanes(1, 0, 59, 30)
        thread.join()
        assert failed == []
        assert project.unfinished(run) == ()
        assert sorted(told) == list(range(before + 1, project.revision + 1))
        for frame in range(60):
            people = project.people(1, frame)
            assert [frame, frame] in [
                person.pose.keypoints[9].tolist() for person in people if person.state == "corrected"
            ]
        assert project.check() == ()


def test_listeners_hear_after_the_commit_with_no_lock_held(tmp_path: Path) -> None:
    with filled(tmp_path / "a.poseproj", 3) as project:
        seen: list[int] = []

        def ask() -> None:
            seen.append(len(project.people(1, 1)))

        def listen(_: object) -> None:
            assert not project._database._connection.in_transaction
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(5)
            assert not thread.is_alive()

        project.changes.connect(listen)
        project.apply(edits.AddPerson(1, 1, pose(500).keypoints))
        assert seen == [3]


def test_a_transaction_inside_another_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        with pytest.raises(RuntimeError, match="inside another"), project._database.write():
            project.set_setting("a", 1)
        assert project.setting("a", None) is None
        project.set_setting("a", {"b": [1, 2]})
        assert project.setting("a", {}) == {"b": [1, 2]}


def test_using_a_closed_project_ends_in_a_sentence(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "a.poseproj")
    project.close()
    project.close()
    with pytest.raises(ProjectError, match="has been closed"):
        project.people(1, 0)
    with pytest.raises(ProjectError, match="has been closed"):
        project.set_setting("a", 1)
