"""Sentences of the rooms below the window - errors, remedies, findings - in the window's language."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from poseviewer.core import errors
from poseviewer.core.errors import KnownError, MediaError, ProjectError
from poseviewer.media import open_media
from poseviewer.project import Project
from poseviewer.ui import text
from poseviewer.ui.messages import of_error

ROOT = Path(__file__).resolve().parents[2] / "poseviewer"
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, KnownError)}
WHOLE = ("media", "project")
"""Rooms whose every sentence is translated; of the others those that a window meets."""
LEAST_SHARE = 0.75


def template(node: ast.expr) -> str | None:
    """Return a text, with the values of an f-string as {0}, {1}, ...; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    places = iter(range(len(parts)))
    return "".join(part if isinstance(part, str) else f"{{{next(places)}}}" for part in parts)


def sentences() -> dict[str, str]:
    """Return every sentence and remedy of a KnownError, and every Finding, with the room it is in."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0]
        if room == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            told = [keyword.value for keyword in node.keywords if keyword.arg == "remedy"]
            if node.func.id in KINDS:
                told += node.args[:1]
            elif node.func.id == "Finding" and room == "media":
                told += node.args[1:2]
            found |= {words: room for one in told if (words := template(one))}
    return found


@pytest.fixture
def chinese():
    text.set_language("zh_CN")
    yield
    text.set_language("en")


def test_what_the_window_meets_most_is_translated_whole_and_of_the_rest_most_is():
    known = text.read_catalogue("zh_CN")
    found = sentences()
    assert len(found) > 250
    missing = sorted(
        f"{room}: {words}"
        for words, room in found.items()
        if room in WHOLE and words not in known and text.fixed_letters(words) >= text.LEAST_LETTERS
    )
    assert missing == []
    covered = sum(words in known for words in found)
    assert covered >= LEAST_SHARE * len(found), f"{covered} of {len(found)} sentences are translated"


def test_patterns_number_their_places_in_order():
    for words in text.read_catalogue("zh_CN"):
        places = [int(place) for place in re.findall(r"\{(\d+)\}", words)]
        assert places == list(range(len(places))), words


def test_a_sentence_with_values_is_told_in_chinese(chinese):
    assert text.tr_sentence("There is no file /a/b.mp4.") == "没有文件 /a/b.mp4。"
    assert text.tr_sentence("Frame 7 of walk.mp4 cannot be decoded: the file is damaged.") == (
        "walk.mp4 的第 7 帧无法解码：文件已损坏。"
    )
    nested = text.tr_sentence("/a/x.mp4 cannot be opened: it is a text file, not a video.")
    assert nested == "无法打开 /a/x.mp4：这是文本文件，不是视频。"
    assert text.tr_sentence("A sentence nobody knows about 7 things.") == "A sentence nobody knows about 7 things."
    assert text.tr_sentence("") == ""


def test_english_stays_as_it_is():
    text.set_language("en")
    assert text.tr_sentence("There is no file /a/b.mp4.") == "There is no file /a/b.mp4."


def test_errors_of_real_files_reach_the_window_in_chinese(chinese, tmp_path):
    empty, words = tmp_path / "empty.mp4", tmp_path / "words.mp4"
    empty.write_bytes(b"")
    words.write_text("just some words\n" * 50)
    project = tmp_path / "p.poseproj"
    project.write_bytes(b"no project at all" * 400)

    def told(act):
        with pytest.raises((MediaError, ProjectError)) as caught:
            act()
        return of_error(caught.value)

    assert told(lambda: open_media(empty)).sentence == f"文件 {empty} 是空的（0 字节）。"
    assert told(lambda: open_media(words)).sentence == f"无法打开 {words}：这是文本文件，不是视频。"
    assert told(lambda: open_media(tmp_path / "none.mp4")).sentence == f"没有文件 {tmp_path / 'none.mp4'}。"
    assert not re.search("[a-z]{4} [a-z]{2}", told(lambda: Project.open(project)).sentence)


TAG = re.compile("tag", re.IGNORECASE)


def test_one_word_for_a_correction_in_chinese():
    """A correction is 校正 everywhere; 修正 is left to the corrected form of a formula."""
    known = text.read_catalogue("zh_CN")
    mixed = [english for english, translated in known.items() if "orrection" in english and "修正" in translated]
    assert mixed == []


def test_a_tag_is_not_called_as_a_label_in_chinese():
    """标签 is a network's tag; what is written beside people is 编号与名称."""
    known = text.read_catalogue("zh_CN")
    others = [english for english, translated in known.items() if "标签" in translated and not TAG.search(english)]
    assert others == []
