"""The real window on a generated clip with known people; the engine is a stand-in that answers when told to."""

from __future__ import annotations

import gc
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from poseviewer.ui import text, theme
from poseviewer.ui.app import destroy
from poseviewer.ui.collecting import Collector
from poseviewer.ui.window import Window

sys.path.insert(0, str(Path(__file__).parent))

from desk_tools import FRAMES, write_clip
from window_tools import Mouse, StandInEngine, people_of, stand_in_for, store_people


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEVIEWER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("POSEVIEWER_DATA", str(tmp_path / "data"))


_TESTS = itertools.count(1)


@pytest.fixture(autouse=True)
def _collect_on_this_thread() -> Iterator[None]:
    """Keep the cycle collector off other threads, where it would destroy widgets (see ui/collecting.py)."""
    gc.disable()
    yield
    # A full collection beside torch takes a third of a second, so most tests leave theirs to a later one.
    gc.collect(2 if next(_TESTS) % 20 == 0 else 1)


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 24 frames, 320 x 240."""
    return write_clip(tmp_path_factory.mktemp("clip") / "square.mp4")


@pytest.fixture
def bare_window(qtbot: QtBot) -> Iterator[Window]:
    """The window with nothing open."""
    text.set_language("en")
    theme.start()
    theme.apply("dark")
    made = Window()
    made.resize(1280, 860)
    made.show()
    qtbot.waitExposed(made)
    collector = Collector()
    yield made
    made.close()
    destroy(made)
    collector.stop()


@pytest.fixture
def engine(bare_window: Window) -> StandInEngine:
    """The stand-in in place of the engine's thread."""
    stand_in = stand_in_for(bare_window.desk)
    bare_window.desk.runs.engine = stand_in
    return stand_in


@pytest.fixture
def window(bare_window: Window, engine: StandInEngine, clip_file: Path, tmp_path: Path, qtbot: QtBot) -> Window:
    """The window with the clip open, its first 12 frames predicted, frame 0 on screen."""
    copy = tmp_path / "square.mp4"
    copy.write_bytes(clip_file.read_bytes())
    desk = bare_window.desk
    desk.open_paths([copy])
    qtbot.waitUntil(lambda: desk.editable and desk.frame_exact, timeout=20_000)
    assert desk.info.frame_count == FRAMES
    store_people(bare_window, range(12))
    assert len(desk.people) == 2
    return bare_window


@pytest.fixture
def evident(window: Window, engine: StandInEngine, qtbot: QtBot) -> Window:
    """The window with frame 0's evidence and its first person's left wrist selected."""
    window.desk.request_evidence()
    engine.reply(engine.asked[-1], people_of(0))
    assert window.desk.evidence_state == "ready"
    window.desk.select(person=window.desk.people[0].key, joint=9)
    engine.asked.clear()
    return window


@pytest.fixture
def mouse(window: Window) -> Mouse:
    """A synthetic mouse over the canvas."""
    return Mouse(window)
