"""Random work at the desk, with fixed seeds: nothing raises, the parts agree, and undo and redo lose nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from desk_tools import write_clip
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from window_tools import people_of, stand_in_for, store_people

from poseviewer.session.actions import ACTIONS
from poseviewer.ui import theme

STEPS = 150
MODAL = {"open", "open_folder", "import", "export", "retrain", "settings", "quit", "go_to", "swap_tracks", "run_panel"}
WINDOWS = {"open_demo", "help_start", "help_retraining", "help_models", "shortcuts", "show_log", "about", "full_screen"}
"""Actions that wait for a person, or open a window of their own; each has its own tests."""


class Hand:
    """Does one random thing after the other to a window."""

    def __init__(self, window, mouse, folder, seed: int) -> None:
        self.window, self.desk, self.mouse, self.folder = window, window.desk, mouse, folder
        self.draw = random.Random(seed)
        self.actions = [act.id for act in ACTIONS if act.where != "mouse" and act.id not in MODAL | WINDOWS | {"close"}]
        self.acts: dict[Callable[[], object], int] = {
            self.do: 40, self.reply: 10, self.drag: 10, self.look: 8, self.choose: 8, self.click: 5, self.zoom: 5,
            self.tab: 5, self.rest: 5, self.band: 3, self.predict: 3, self.open: 2, self.resize: 1, self.theme: 1,
        }  # fmt: skip

    def work(self, steps: int) -> None:
        """Do so many things."""
        for _ in range(steps):
            (act,) = self.draw.choices(list(self.acts), list(self.acts.values()))
            if self.desk.info is not None or act in (self.open, self.rest):
                act()
            if self.draw.random() < 0.3:
                QApplication.processEvents()

    def place(self) -> tuple[float, float]:
        return self.draw.uniform(0, 320), self.draw.uniform(0, 240)

    def do(self) -> None:
        self.desk.do(self.draw.choice(self.actions))

    def look(self) -> None:
        self.desk.select(frame=self.draw.randrange(self.desk.info.frame_count))

    def choose(self) -> None:
        if self.desk.people:
            person = self.draw.choice(self.desk.people)
            self.desk.select(person=person.key, joint=self.draw.choice([None, *range(17)]))

    def drag(self) -> None:
        if self.desk.people:
            x, y = self.draw.choice(self.desk.people).pose.keypoints[self.draw.randrange(17)].tolist()
            by = self.draw.uniform(-40, 40), self.draw.uniform(-40, 40)
            none, keys = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier
            held = self.draw.choice([none, keys.ShiftModifier, keys.ControlModifier, keys.AltModifier])
            self.mouse.drag((x, y), (x + by[0], y + by[1]), held)

    def band(self) -> None:
        self.mouse.drag(self.place(), self.place(), self.draw.choice([None, Qt.KeyboardModifier.ShiftModifier]))

    def click(self) -> None:
        self.mouse.click(*self.place(), self.draw.choice([None, Qt.MouseButton.MiddleButton]))

    def zoom(self) -> None:
        lanes = self.window.timeline.lanes
        lanes.set_view(lanes.view.limited(first=self.draw.uniform(-5, 24), span=self.draw.uniform(1, 30)))

    def tab(self) -> None:
        self.window.inspector.setCurrentIndex(self.draw.randrange(self.window.inspector.count()))

    def reply(self) -> None:
        """Answer what the engine was asked, in order; now and then it has no answer."""
        engine = self.desk.runs.engine
        while engine.asked:
            request = engine.asked.pop(0)
            if self.draw.random() < 0.9:
                frame = getattr(request, "frame", None)
                engine.reply(request, None if frame is None else people_of(frame))

    def predict(self) -> None:
        first = self.draw.randrange(12)
        store_people(self.window, range(first, first + self.draw.randrange(1, 12)))

    def open(self) -> None:
        self.desk.open_paths(
            [self.folder / self.draw.choice(["square.mp4", "other.mp4", "bad.mp4", "square.poseproj"])]
        )

    def resize(self) -> None:
        self.window.resize(self.draw.choice([900, 1280, 1700]), self.draw.choice([600, 720, 900]))

    def theme(self) -> None:
        theme.apply(self.draw.choice(["dark", "light"]))

    def rest(self) -> None:
        for _ in range(self.draw.choice([1, 3, 10])):
            QApplication.processEvents()


def stored(desk) -> list[tuple[object, ...]]:
    """Everybody in every frame, with what identifies and places them."""
    return [
        (frame, person.key, person.state, person.pose.keypoints.tobytes(), person.visibility.tobytes())
        for frame in range(desk.info.frame_count)
        for person in desk.project.people(desk.media_id, frame)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_random_work_raises_nothing_and_can_be_undone(window, mouse, qtbot, tmp_path, monkeypatch, seed):
    write_clip(tmp_path / "other.mp4", 40)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    desk = window.desk
    monkeypatch.setattr(desk.runs, "_new_engine", lambda _device: stand_in_for(desk))
    Hand(window, mouse, tmp_path, seed).work(STEPS)
    qtbot.waitUntil(lambda: desk.opening == "", timeout=20_000)
    desk.session.play(playing=False)
    qtbot.waitUntil(lambda: desk.editable and desk.frame_exact, timeout=20_000)

    def parts_agree() -> bool:
        keys = [person.key for person in desk.people]
        return (
            keys == [person.key for person in desk.project.people(desk.media_id, desk.selection.frame)]
            and desk.selection.person in (None, *keys)
            and (not window.people.isVisible() or window.people.model.rowCount() == len(keys))
        )

    qtbot.waitUntil(parts_agree, timeout=20_000)
    assert desk.project.check() == ()
    before, undone = stored(desk), 0
    while desk.project.can_undo:
        desk.project.undo()
        undone += 1
    for _ in range(undone):
        desk.project.redo()
    assert stored(desk) == before
