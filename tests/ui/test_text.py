"""Every text of the window has its Chinese entry, with the same placeholders."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from poseviewer.core.resources import resource_folder
from poseviewer.core.skeleton import skeleton, skeleton_names
from poseviewer.session.actions import ACTIONS, GROUPS
from poseviewer.ui import text

ROOT = Path(__file__).resolve().parents[2] / "poseviewer"


def literals() -> dict[str, str]:
    """Return every literal first argument of ``tr`` with the file it is in."""
    found: dict[str, str] = {}
    for path in sorted([*(ROOT / "ui").rglob("*.py"), *(ROOT / "session").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr"):
                continue
            first = node.args[0]
            for inner in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    found.setdefault(inner.value, path.name)
    return found


def from_tables() -> dict[str, str]:
    """Return texts that reach ``tr`` from tables: actions and joint names."""
    found = {word: "actions.py" for entry in ACTIONS for word in (entry.text, entry.help)}
    found |= dict.fromkeys(GROUPS, "actions.py")
    found |= {key: "actions.py" for entry in ACTIONS if entry.where == "mouse" for key in entry.keys}
    found |= dict.fromkeys(skeleton("coco_17").joints, "coco_17")
    assert "coco_17" in skeleton_names()
    return found


@pytest.fixture
def chinese():
    return text.read_catalogue("zh_CN")


def test_every_text_has_a_chinese_entry(chinese):
    wanted = literals() | from_tables()
    missing = sorted(f"{where}: {word}" for word, where in wanted.items() if re.search("[A-Za-z]{2}", word))
    missing = [line for line in missing if line.split(": ", 1)[1] not in chinese]
    assert missing == []


def test_placeholders_are_the_same(chinese):
    for english, translated in chinese.items():
        assert set(re.findall(r"{(\w+)", english)) == set(re.findall(r"{(\w+)", translated)), english


def test_the_catalogues_are_plain_and_agree():
    folder = resource_folder() / "translations"
    seen: dict[str, tuple[str, str]] = {}
    for path in (folder / "zh_CN.json", *sorted((folder / "zh_CN.d").glob("*.json"))):
        for english, translated in json.loads(path.read_text(encoding="utf-8")).items():
            assert isinstance(translated, str)
            assert translated.strip(), english
            earlier = seen.setdefault(english, (translated, path.name))
            assert earlier[0] == translated, f"{english}: {earlier} against {translated} in {path.name}"


def test_tr_speaks_the_chosen_language_and_fills_in():
    try:
        text.set_language("zh-Hans-CN")
        assert text.language() == "zh_CN"
        assert text.tr("Saved") == "已保存"
        assert text.tr("frame {n} / {count}", n=3, count=10).startswith("帧 3")
        assert text.tr("a word nobody translated") == "a word nobody translated"
        text.set_language("fr_FR")
        assert text.tr("frame {n} / {count}", n=3, count=10) == "frame 3 / 10"
    finally:
        text.set_language("en")


def test_a_damaged_catalogue_does_not_stop_the_window(tmp_path, monkeypatch):
    (tmp_path / "translations").mkdir()
    (tmp_path / "translations" / "zh_CN.json").write_text("{not json")
    monkeypatch.setattr(text, "resource_folder", lambda: tmp_path)
    assert text.read_catalogue("zh_CN") == {}


def test_the_window_stands_in_chinese(qtbot, tmp_path, monkeypatch):
    from poseviewer.ui import theme
    from poseviewer.ui.app import destroy
    from poseviewer.ui.window import Window

    text.set_language("zh_CN")
    try:
        theme.start()
        theme.apply("dark")
        window = Window()
        titles = [made.text() for made in window.menuBar().actions()]
        assert "文件" in titles
        assert window.action_of("undo").text() == "撤销"
        window.close()
        destroy(window)
    finally:
        text.set_language("en")


def test_the_title_of_a_joint_set_is_translated_but_for_its_name():
    text.set_language("zh_CN")
    try:
        assert text.tr_joint_set("COCO, 17 joints") == "COCO，17 个关节点"
        assert text.tr_joint_set("Halpe, whole body, 136 joints") == "Halpe, whole body，136 个关节点"
        assert text.tr_joint_set("My own joints") == "My own joints"
    finally:
        text.set_language("en")
    assert text.tr_joint_set("COCO, 17 joints") == "COCO, 17 joints"
