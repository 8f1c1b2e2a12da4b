"""``python -m poseviewer`` as a process of its own: exit status, streams, no display, light imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakepipeline import write_clip

from poseviewer import __main__ as entry

NO_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def process(*argv: object, display: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Run PoseViewer in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if display or key not in NO_DISPLAY}
    return subprocess.run(
        [sys.executable, "-m", "poseviewer", *map(str, argv)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        **options,  # type: ignore[call-overload]
    )


def test_results_on_stdout_words_on_stderr(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    done = process("probe", clip, "--json", display=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["frame_count"] == 12
    done = process("probe", tmp_path / "none.mp4")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("poseviewer: ")
    assert "none.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    assert process("predict", clip).returncode == 2


def test_streams_that_are_closed_or_know_only_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "шаг.mp4")
    command = f"{sys.executable} -m poseviewer probe {clip}"
    for closed in ("", ">&-", "2>&-"):
        done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = process("probe", clip)
    assert done.returncode == 0
    assert "\\u0448" in done.stdout


def test_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    done = process("probe", folder)
    assert done.returncode == 1
    assert "may not read" in done.stderr


def test_paths_without_a_display_are_told_what_to_do(tmp_path: Path) -> None:
    done = process(tmp_path / "clip.mp4", display=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no display" in done.stderr
    assert f"poseviewer predict {tmp_path / 'clip.mp4'}" in done.stderr


def test_nothing_without_a_display_runs_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[object] = []

    def headless(out: object = None) -> int:
        ran.append(out)
        return 0

    monkeypatch.setattr("poseviewer.cli.commands.run_headless_demo", headless)
    for name in NO_DISPLAY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert entry.main([]) == 0
    assert ran == [None]
    assert "There is no display" in capsys.readouterr().err
    assert entry.main(["demo"]) == 0
    assert entry.main(["demo", "--out", "there"]) == 0
    assert ran == [None, None, "there"]


def test_the_window_opens_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    opened: list[list[str]] = []
    fake = types.ModuleType("poseviewer.ui.app")
    fake.run_window = lambda paths: opened.append(list(paths)) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "poseviewer.ui.app", fake)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert entry.main([]) == 0
    assert entry.main(["clip.mp4", "x.poseproj"]) == 0
    assert entry.main(["demo"]) == 0
    assert opened == [[], ["clip.mp4", "x.poseproj"], ["--demo"]]


def test_help_and_jobs_leave_the_heavy_libraries_out() -> None:
    code = (
        "import sys, poseviewer.__main__ as m\n"
        "try:\n    m.main(['predict', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ultralytics', 'scipy', 'matplotlib', 'PySide6', 'pycocotools'}\n"
        "light = (heavy | {'av', 'cv2'}) & set(sys.modules)\n"
        "import poseviewer.jobs.predict, poseviewer.jobs.predicting, poseviewer.jobs.export\n"
        "import poseviewer.jobs.importing\n"
        "import poseviewer.jobs.demo, poseviewer.jobs.evaluate, poseviewer.jobs.doctor, poseviewer.evaluation.coco\n"
        "jobs = heavy & set(sys.modules)\n"
        "print(sorted(light), sorted(jobs), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == "[] []"


def test_a_reader_that_goes_away_is_no_error_message(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    command = f"'{sys.executable}' -m poseviewer probe '{clip}' --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
