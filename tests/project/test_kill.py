"""Kill -9 in the middle of edits, fifty times: nothing that was acknowledged is lost and the file stays sound."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_up import media_info, pose, result
from processes import environment

from poseviewer.project import Project

KILLS = 50

EDITING = """
import os, sys
from poseviewer.project import Project, edits

def edit(path, first):
    project = Project.open(path)
    keys = [project.people(1, frame)[0].key for frame in range(20)]
    for number in range(first, first + 100000):
        frame = number % 20
        project.apply(edits.MoveJoint(1, frame, keys[frame], number % 17, number, 2 * number, fingerprint="ab"))
        os.write(1, b"%d\\n" % number)  # the acknowledgement: only after apply returned

for line in sys.stdin:
    process = os.fork()  # a fresh process each time, without importing everything again
    if process == 0:
        edit(sys.argv[1], int(line))
    os.write(2, b"%d\\n" % process)
    os.waitpid(process, 0)
    os.write(2, b"gone\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_acknowledged_edit_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.poseproj"
    with Project.create(path) as project:
        media = project.add_media(media_info())
        run = project.start_run(media, {}, {}, range(20))
        project.store_results(run, [result(frame, pose()) for frame in range(20)])
    chance = random.Random(1)
    wanted: dict[tuple[int, int], int] = {}
    last, lost, damaged, acknowledged = 0, 0, 0, 0
    editor = subprocess.Popen(
        [sys.executable, "-c", EDITING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with editor:
        for _ in range(KILLS):
            numbers = _edit_until_killed(editor, last + 1, chance.uniform(0.0, 0.06))
            acknowledged += len(numbers)
            for number in numbers:
                wanted[number % 20, number % 17] = number
            last = max([last, *numbers])
            with Project.open(path) as project:
                found = {frame: project.people(1, frame)[0].pose.keypoints.tolist() for frame in range(20)}
                with project._database.read() as db:
                    damaged += db.execute("PRAGMA integrity_check").fetchone() != ("ok",)
                    damaged += bool(db.execute("PRAGMA foreign_key_check").fetchall())
                    (entries,) = db.execute("SELECT count(*) FROM journal").fetchone()
            if found[(last + 1) % 20][(last + 1) % 17] == [last + 1, 2 * last + 2]:
                # It was committed, and the process was killed before it could say so.
                last += 1
                acknowledged += 1
                wanted[last % 20, last % 17] = last
            lost += sum(found[frame][joint] != [number, 2 * number] for (frame, joint), number in wanted.items())
            lost += entries != acknowledged
        editor.stdin.close()  # type: ignore[union-attr]
    with Project.open(path) as project:
        assert project.check() == ()
        assert project.can_undo
    assert (lost, damaged) == (0, 0)
    assert acknowledged >= KILLS


def _edit_until_killed(editor: subprocess.Popen[bytes], first: int, seconds: float) -> list[int]:
    """Let a process edit, kill it some time after its first acknowledgement, and return what it acknowledged."""
    assert editor.stdin is not None
    assert editor.stdout is not None
    assert editor.stderr is not None
    editor.stdin.write(b"%d\n" % first)
    editor.stdin.flush()
    process = int(editor.stderr.readline())
    told = os.read(editor.stdout.fileno(), 64)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    assert editor.stderr.readline() == b"gone\n"
    os.set_blocking(editor.stdout.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while data := os.read(editor.stdout.fileno(), 65536):
            told += data
    os.set_blocking(editor.stdout.fileno(), True)
    return [int(line) for line in told.split(b"\n")[:-1]]
