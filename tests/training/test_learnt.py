"""What weights have learnt travels in their header, and is found again by content."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.skeleton import skeleton
from poseviewer.training.datasets import Annotation, read_annotations
from poseviewer.training.learnt import already_learnt, joined, knows, learnt_by, mark_of, with_learnt
from tests.training.people import draw_people


def person(image: Path, mark: str = "", frame: int | None = None, *, labelled: bool = True) -> Annotation:
    joints = np.full((17, 3), 2.0 if labelled else 0.0, np.float32)
    return Annotation(image, 1, 1, np.zeros(4, np.float32), joints, {}, "m" if mark else "", frame, None, mark)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=20))
def test_joined_spans_hold_the_same_frames_apart(pairs: list[tuple[int, int]]) -> None:
    spans = [(first, first + more) for first, more in pairs]
    found = joined(spans)
    assert {f for a, b in found for f in range(a, b + 1)} == {f for a, b in spans for f in range(a, b + 1)}
    assert all(first[1] + 1 < then[0] for first, then in pairwise(found))


def test_frames_are_known_by_their_media_and_pictures_by_their_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"two"), ("copy", b"one")):
        (tmp_path / name).write_bytes(content)
    people = [person(tmp_path / "x", "clip", frame) for frame in (3, 4, 9)]
    people = [person(tmp_path / f"{p.frame}", "clip", p.frame) for p in people]
    people += [person(tmp_path / "a"), person(tmp_path / "b", labelled=False), person(tmp_path / "gone")]
    found = with_learnt({"clip": ((5, 5), (20, 30)), "old": ((0, 1),)}, people)
    assert found["clip"] == ((3, 5), (9, 9), (20, 30))
    assert found["old"] == ((0, 1),)
    assert set(found) == {"clip", "old", mark_of(person(tmp_path / "a"))[0]}
    assert knows(found, *mark_of(person(tmp_path / "copy")))
    asked = [
        person(tmp_path / "9", "clip", 9), person(tmp_path / "10", "clip", 10), person(tmp_path / "copy"),
        person(tmp_path / "b"),
    ]  # fmt: skip
    assert already_learnt(found, asked) == {tmp_path / "9", tmp_path / "copy"}
    assert already_learnt({}, asked) == set()


def test_files_that_say_nothing_teach_nothing(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"poseviewer": json.dumps({"learnt": {"m": [[0, 3]]}})}}).encode()
    (tmp_path / "own").write_bytes(len(header).to_bytes(8, "little") + header)
    assert learnt_by(tmp_path / "own") == {"m": ((0, 3),)}
    odd = (b'{"__metadata__": {"poseviewer": "{\\"learnt\\": 3}"}}', b'{"__metadata__": 1}')
    for number, text in enumerate((b"", b"12345678", b"{}", b"[]", *odd)):
        file = tmp_path / f"{number}"
        file.write_bytes(len(text).to_bytes(8, "little") + text)
        assert learnt_by(file) == {}
    (tmp_path / "huge").write_bytes((2**60).to_bytes(8, "little") + b"{}")
    assert learnt_by(tmp_path / "huge") == {}
    assert learnt_by(tmp_path / "none") == {}


def test_an_exports_media_are_told_by_name_where_it_is_one_media(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 3)
    data = json.loads(file.read_text())
    for number, image in enumerate(data["images"]):
        image |= {"media": ("a.mp4", "b.mp4", "twice.mp4")[number], "frame_index": 7 + number}
    data["images"][1]["media_fingerprint"] = "own"
    names = ("a.mp4", "b.mp4", "twice.mp4", "twice.mp4")
    data["info"] = {"media": [{"name": n, "fingerprint": f"mark {k}"} for k, n in enumerate(names)]}
    file.write_text(json.dumps(data))
    people = read_annotations(file, tmp_path / "images", skeleton())
    assert [person.mark for person in people] == ["mark 0", "own", ""]
    assert mark_of(people[0]) == ("mark 0", 7)
    assert mark_of(people[2])[0].startswith("picture ")
    for odd in ([], {"media": 3}, {"media": [3]}, "x"):
        file.write_text(json.dumps({**data, "info": odd}))
        assert len(read_annotations(file, tmp_path / "images", skeleton())) == 3
