"""Opening: one opener, foreign and damaged files refused untouched, migrations, one file after closing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up import contents, media_info, pose, result
from processes import environment, run_python

from poseviewer.core.errors import KnownError, ProjectError
from poseviewer.project import Project, edits, migrations, schema
from poseviewer.project.header import read_header
from poseviewer.project.lockfile import lock_path, read_holder


def made(path: Path) -> Path:
    """A closed project with a run and a correction."""
    with Project.create(path) as project:
        media = project.add_media(media_info())
        run = project.start_run(media, {}, {}, range(30))
        project.store_results(run, [result(frame, pose()) for frame in range(30)])
        project.apply(edits.AcceptPrediction(media, 3, project.people(media, 3)[0].key))
    return path


def test_it_is_one_file_after_closing_and_says_what_it_is(tmp_path: Path) -> None:
    path = made(tmp_path / "a.poseproj")
    assert os.listdir(tmp_path) == ["a.poseproj"]
    header = read_header(path)
    assert (header.application_id, header.version) == (schema.APPLICATION_ID, schema.VERSION)


def test_the_numbers_stand_in_the_header_while_it_is_open(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        project.add_media(media_info())
        data = subprocess.run(
            [sys.executable, "-c", f"print(open({str(project.path)!r}, 'rb').read(100).hex())"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        header = bytes.fromhex(data.strip())
        assert int.from_bytes(header[68:72], "big") == schema.APPLICATION_ID
        assert int.from_bytes(header[60:64], "big") == schema.VERSION


def test_create_refuses_what_is_there(tmp_path: Path) -> None:
    path = made(tmp_path / "a.poseproj")
    before = path.read_bytes()
    with pytest.raises(ProjectError, match=r"a\.poseproj exists already"):
        Project.create(path)
    assert path.read_bytes() == before
    with pytest.raises(ProjectError, match="cannot be made"):
        Project.create(tmp_path / "nowhere" / "b.poseproj")


def test_a_second_opener_is_told_who_has_it(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        with pytest.raises(
            ProjectError, match=rf"a\.poseproj is already open by .+ process {os.getpid()}, since \d{{4}}-"
        ):
            Project.open(project.path)
        media = project.add_media(media_info())
        project.apply(edits.AddPerson(media, 0, pose().keypoints))
        assert run_python(SECOND.format(path=str(project.path))) == 0
        assert len(project.people(media, 0)) == 1
    Project.open(project.path).close()


SECOND = """
import os, sqlite3
from poseviewer.core.errors import ProjectError
from poseviewer.project import Project
try:
    Project.open({path!r})
except ProjectError as error:
    assert f"process {{os.getppid()}}" in str(error), error
    assert "Close it there" in str(error), error
else:
    raise SystemExit("it opened")
os.unlink({path!r} + ".lock")  # even without the side file nobody else gets in
try:
    Project.open({path!r})
except ProjectError as error:
    assert "already open" in str(error), error
else:
    raise SystemExit("it opened without the side file")
connection = sqlite3.connect({path!r}, timeout=0)
try:
    connection.execute("SELECT * FROM media").fetchall()
except sqlite3.OperationalError as error:
    assert "locked" in str(error), error
else:
    raise SystemExit("a plain SQLite could read it")
"""

KILLED = """
import os, signal
from poseviewer.project import Project
Project.open({path!r})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_the_lock_of_a_dead_process_blocks_nobody(tmp_path: Path) -> None:
    path = made(tmp_path / "a.poseproj")
    assert run_python(KILLED.format(path=str(path))) == -9
    assert lock_path(path).exists()
    holder = read_holder(path)
    assert holder is not None
    assert holder.pid != os.getpid()
    with Project.open(path) as project:
        mine = read_holder(path)
        assert mine is not None
        assert mine.pid == os.getpid()
        assert project.counts().corrected == 1
    assert not lock_path(path).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_an_open_project_is_that_project(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        (tmp_path / "folder").mkdir()
        link = tmp_path / "folder" / "b.poseproj"
        link.symlink_to(project.path)
        with pytest.raises(ProjectError, match="already open"):
            Project.open(link)
        assert run_python(SECOND.format(path=str(project.path))) == 0


def text(path: Path) -> None:
    path.write_text("this is no project\n" * 40)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (name TEXT)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    made(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()


def cut(path: Path) -> None:
    made(path)
    os.truncate(path, path.stat().st_size // 2)


def nearly_all_cut(path: Path) -> None:
    made(path)
    os.truncate(path, 50)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (text, "is not a PoseViewer project"),
        (empty, "is empty"),
        (other_database, "database of another program"),
        (newer, "written by a newer PoseViewer"),
        (cut, "is cut off"),
        (nearly_all_cut, "is not a PoseViewer project"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_sentence_and_left_untouched(
    tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "b.poseproj"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(ProjectError, match=sentence) as caught:
        Project.open(path)
    assert path.name in caught.value.sentence
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["b.poseproj"]


def test_absent_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"c\.poseproj is not there"):
        Project.open(tmp_path / "c.poseproj")
    with pytest.raises(ProjectError, match="is a folder"):
        Project.open(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("seed", range(12))
def test_garbage_inside_ends_in_a_known_error_or_is_harmless(tmp_path: Path, seed: int) -> None:
    import random

    path = made(tmp_path / "a.poseproj")
    data = bytearray(path.read_bytes())
    chance = random.Random(seed)
    page = 4096
    first = chance.randrange(page if seed % 2 else 100, len(data) - page)
    data[first : first + page] = chance.randbytes(page)
    path.write_bytes(data)
    try:
        with Project.open(path) as project:
            project.media_list()
            for frame in range(30):
                project.people(1, frame)
            project.lanes(1, 0, 29, 10)
            project.undo()
            project.check()
            list(project.export_rows("all"))
    except KnownError:
        pass  # said in one sentence; anything else fails the test
    assert os.listdir(tmp_path) == ["a.poseproj"]


def test_missing_tables_are_named(tmp_path: Path) -> None:
    path = made(tmp_path / "a.poseproj")
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE doubt")
    connection.commit()
    connection.close()
    with pytest.raises(ProjectError, match="lacks doubt"):
        Project.open(path)
    assert not lock_path(path).exists()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "a.poseproj")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ProjectError, match="cannot be opened for writing"):
            Project.open(path)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_loses_nothing_and_is_said_in_a_sentence(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a.poseproj") as project:
        media = project.add_media(media_info())
        project.apply(edits.AddPerson(media, 0, pose().keypoints))
        before = contents(project)
        with project._database.read() as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite reports a full disk beyond it
        revision = project.revision
        told: list[object] = []
        project.changes.connect(lambda changes: told.append(changes))
        with pytest.raises(ProjectError, match=r"disk that holds a\.poseproj is full"):  # noqa: PT012
            for frame in range(1, 400):
                before = contents(project)
                revision = project.revision
                told.clear()
                project.apply(edits.AddPerson(media, frame, pose().keypoints))
        assert contents(project) == before
        assert (project.revision, told) == (revision, [])
        with project._database.read() as db:
            db.execute("PRAGMA max_page_count = 1000000")
        project.apply(edits.AddPerson(media, 500, pose().keypoints))
        assert project.check() == ()


# --- migrations ---


def version_0(path: Path) -> Path:
    """A project of a made-up version 0: without doubts, and with the table of settings under another name."""
    made(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("DROP TABLE doubt")
    connection.execute("ALTER TABLE setting RENAME TO preference")
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    return path


def to_version_1(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE preference RENAME TO setting")
    for statement in schema.TABLES.split(";"):
        if "doubt" in statement:
            db.execute(statement)


def test_an_older_file_is_brought_forward_after_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = version_0(tmp_path / "old.poseproj")
    before = path.read_bytes()
    monkeypatch.setitem(migrations.STEPS, 0, to_version_1)
    with Project.open(path) as project:
        assert project.counts().corrected == 1
        assert project.worth_a_look(1) == ()
        assert project.undo() is not None
    assert read_header(path).version == 1
    copy = tmp_path / "old.v0.poseproj"
    assert copy.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["old.poseproj", "old.v0.poseproj"]
    Project.open(path).close()
    assert sorted(os.listdir(tmp_path)) == ["old.poseproj", "old.v0.poseproj"]


def test_a_migration_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = version_0(tmp_path / "old.poseproj")
    before = path.read_bytes()

    def fails(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE prediction")
        raise ProjectError("It cannot be done.")

    monkeypatch.setitem(migrations.STEPS, 0, fails)
    with pytest.raises(ProjectError, match="cannot be done"):
        Project.open(path)
    assert read_header(path).version == 0
    assert path.read_bytes()[100:] == before[100:]
    assert not lock_path(path).exists()


def test_a_version_that_no_step_leads_from_is_refused(tmp_path: Path) -> None:
    path = version_0(tmp_path / "old.poseproj")
    before = path.read_bytes()
    with pytest.raises(ProjectError, match="project version 0"):
        Project.open(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["old.poseproj"]


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, poseviewer.project\n"
        "heavy = {'torch', 'av', 'cv2', 'scipy', 'matplotlib', 'PySide6', 'ultralytics'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
