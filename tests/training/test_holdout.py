"""What is held out of a training: whole media or time spans, never single frames between learnt ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.errors import CallError
from poseviewer.training.datasets import Annotation
from poseviewer.training.holdout import HoldOut, check_named, held_spans, is_held, parse_hold_out, split_people


def person(media: str, frame: int | None, image: str = "") -> Annotation:
    name = Path(image or f"{media}_{frame}.png")
    return Annotation(name, 1, 1, np.zeros(4, np.float32), np.ones((17, 3), np.float32), {}, media, frame)


def test_words_of_the_command_line() -> None:
    assert parse_hold_out([]) == HoldOut(last=0.25)
    assert parse_hold_out(["none"]) == HoldOut(last=0.0)
    assert parse_hold_out(["last:0.4"]) == HoldOut(last=0.4)
    both = parse_hold_out(["a.mp4", "b c.mp4:10-20"])
    assert both == HoldOut(last=0.0, media=("a.mp4",), spans=(("b c.mp4", 10, 20),))
    for wrong in ("last:2", "last:x", "a.mp4:9-3"):
        with pytest.raises(CallError):
            parse_hold_out([wrong])


@given(st.sets(st.integers(0, 500), min_size=2, max_size=40), st.floats(0.01, 0.9))
def test_the_last_share_is_one_span_to_the_end(frames: set[int], share: float) -> None:
    spans = held_spans(HoldOut(last=share), {"m": frames})
    held = {frame for frame in frames if is_held(spans, "m", frame)}
    assert held
    assert held != frames
    assert min(held) > max(frames - held)
    assert is_held(spans, "m", max(frames) + 1000)


@given(
    st.sets(st.integers(0, 60), min_size=2, max_size=30), st.sets(st.integers(0, 60), max_size=30), st.floats(0.01, 0.9)
)
def test_what_was_learnt_before_is_not_held_out(frames: set[int], learnt: set[int], share: float) -> None:
    spans = held_spans(HoldOut(last=share), {"m": frames}, {"m": learnt})
    held = {frame for frame in frames if is_held(spans, "m", frame)}
    usual = held_spans(HoldOut(last=share), {"m": frames})
    assert held
    assert held != frames
    if frames <= learnt:
        assert spans == usual
        return
    assert not held & learnt
    # The last of those that were not learnt.
    assert max(frames - learnt - held, default=-1) < min(held)
    assert len(held) == min(max(round(share * len(frames)), 1), len(frames) - 1, len(frames - learnt))


def test_what_is_held_out_by_name_is_held_out_although_it_was_learnt() -> None:
    spans = held_spans(HoldOut(last=0.0, spans=(("m", 2, 4),)), {"m": [1, 2, 3, 4]}, {"m": [3]})
    assert [is_held(spans, "m", frame) for frame in (1, 2, 3, 4)] == [False, True, True, True]


def test_pictures_that_were_learnt_before_are_not_held_out() -> None:
    people = [person("", None, f"{number}.png") for number in range(10)]
    usual = {p.image for p in split_people(people, HoldOut(last=0.3))[1]}
    learnt = {p.image for p in people} - usual - {Path("0.png")}
    assert {p.image for p in split_people(people, HoldOut(last=0.3), learnt)[1]} == usual
    other = {p.image for p in split_people(people, HoldOut(last=0.3), usual)[1]}
    assert len(other) == 3
    assert not other & usual
    assert {p.image for p in split_people(people, HoldOut(last=0.3), {p.image for p in people})[1]} == usual
    clip = [person("m", frame) for frame in range(8)]
    held = split_people(clip, HoldOut(last=0.25), {Path("m_7.png"), Path("m_5.png")})[1]
    assert [p.frame for p in held] == [4, 6]


def test_media_and_spans_are_held_as_named_and_unknown_ones_are_told() -> None:
    spans = held_spans(HoldOut(last=0.0, media=("a",), spans=(("b", 5, 9),)), {"a": [1, 2], "b": [4, 5, 9, 10]})
    assert [is_held(spans, "b", frame) for frame in (4, 5, 9, 10)] == [False, True, True, False]
    assert is_held(spans, "a", 12345)
    assert not is_held(spans, "c", 5)
    check_named(HoldOut(media=("a",)), ["a", "b", ""])
    with pytest.raises(CallError, match=r"no media c with labelled frames to hold out; there are: a\."):
        check_named(HoldOut(media=("c",)), ["a", ""])


def test_pictures_without_a_media_are_split_by_name_with_all_their_people() -> None:
    people = [person("", None, f"{number % 10}.png") for number in range(20)]
    kept, held = split_people(people, HoldOut(last=0.3))
    assert {p.image for p in kept}.isdisjoint({p.image for p in held})
    assert len({p.image for p in held}) == 3
    more = [*people, person("", None, "new.png")]
    again = {p.image for p in split_people(more, HoldOut(last=0.3))[1]}
    assert len(again & {p.image for p in held}) >= 2
    single, nobody = split_people(people[:1], HoldOut(last=0.3))
    assert len(single) == 1
    assert nobody == []
