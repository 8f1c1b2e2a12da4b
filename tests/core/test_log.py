"""The log takes tracebacks; it never makes one itself."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from poseviewer.core import log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "log_path", lambda: Path("/dev/full"))
    log.start_log()
    try:
        raise ZeroDivisionError("deep inside")
    except ZeroDivisionError:
        logging.getLogger("poseviewer.cli").exception("unexpected")
    monkeypatch.setattr(log, "log_path", lambda: tmp_path / "poseviewer.log")
    log.start_log()
    logging.getLogger("poseviewer.cli").info("goes on")
    assert capsys.readouterr().err == ""
    assert "goes on" in (tmp_path / "poseviewer.log").read_text()


def test_without_a_place_for_the_log_nothing_reaches_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSEVIEWER_STATE", "/dev/null/nowhere")
    with pytest.raises(OSError, match="nowhere"):
        log.start_log()
    logging.getLogger("poseviewer.cli").error("a traceback, say")
    monkeypatch.setenv("POSEVIEWER_STATE", str(tmp_path))
    log.start_log()
    assert capsys.readouterr().err == ""
