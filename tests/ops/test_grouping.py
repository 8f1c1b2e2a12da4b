"""Assignment and grouping: optimal, indifferent to what they should be, and complete on a planted scene."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from loop_grouping import crowd, loop_assign, loop_group
from scipy.optimize import linear_sum_assignment

from poseviewer.ops import grouping
from poseviewer.ops.munkres import assign
from poseviewer.ops.tag_search import TagSearch

COSTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-5, 5).map(float))


@given(COSTS)
@settings(max_examples=60, deadline=None)
def test_an_assignment_is_as_cheap_as_any(cost: np.ndarray) -> None:
    pairs = assign(cost)
    rows, columns = linear_sum_assignment(cost)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    if cost.shape[0] <= cost.shape[1]:
        assert [row for row, _ in pairs] == list(range(cost.shape[0]))
        assert sum(cost[row, column] for row, column in pairs) == pytest.approx(cost[rows, columns].sum())


def test_a_cost_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        assign(np.array([[0.0, np.nan]]))
    assert assign(np.zeros((0, 3))) == []


def planted(people: int, seed: int, *, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Heatmaps and tag maps of people whose joints lie on cells of their own and whose tags are 3 apart."""
    draw = np.random.default_rng(seed)
    places = np.stack([draw.permutation(size // 8)[:people] for _ in range(2)], axis=1) * 8 + 4
    xy = np.repeat(places[:, None], 17, axis=1)
    maps, tags = torch.zeros(17, size, size), torch.zeros(17, size, size, 1)
    for person in range(people):
        for joint in range(17):
            x, y = xy[person, joint]
            maps[joint, y, x] = 0.5 + 0.02 * person
            tags[joint, y, x] = 3.0 * person
    return maps, tags, xy


@pytest.mark.parametrize("rules", [grouping.AE_RULES, grouping.HIGHER_RULES], ids=["ae", "higher"])
@pytest.mark.parametrize("people", [1, 4, 8])
def test_planted_people_are_found_whole(people: int, rules: grouping.GroupingRules) -> None:
    maps, tags, xy = planted(people, seed=people)
    found, scores = grouping.group_people(maps, tags, rules)
    order = found[:, 0, 3].argsort().numpy()
    # The quarter step moves at most 0.25 from the cell's centre at + 0.5.
    assert np.abs(found[order, :, :2].numpy() - xy - 0.5).max() <= 0.25
    np.testing.assert_allclose(scores[order], 0.5 + 0.02 * np.arange(people), atol=1e-6)


@pytest.mark.parametrize("form", ["ae", "higher"])
def test_a_missing_joint_is_filled_from_the_persons_own_tag(form: str) -> None:
    maps, tags, xy = planted(3, seed=5)
    whole, _ = grouping.group_people(maps, tags)
    person = int(whole[:, 0, 3].argmax())
    whole[person, 16] = 0
    filled = grouping.fill_missing(whole, maps, tags, form=form)  # type: ignore[arg-type]
    assert np.abs(filled[person, 16, :2].numpy() - xy[2, 16] - 0.5).max() <= 0.25
    assert float(filled[person, 16, 2]) == pytest.approx(1.0 if form == "ae" else 0.54)


def test_an_empty_picture_has_nobody() -> None:
    people, scores = grouping.group_people(torch.zeros(17, 20, 20), torch.zeros(17, 20, 20, 2))
    assert people.shape == (0, 17, 5)
    assert scores.shape == (0,)


@pytest.mark.parametrize("rules", [grouping.AE_RULES, grouping.HIGHER_RULES], ids=["ae", "higher"])
@pytest.mark.parametrize(("people", "size", "dimensions"), [(3, 37, 1), (9, 64, 2), (26, 50, 2)])
def test_the_fast_form_is_the_loops(rules: grouping.GroupingRules, people: int, size: int, dimensions: int) -> None:
    maps, tags = crowd(people, seed=size, size=size, dimensions=dimensions)
    wanted, scores = loop_group(maps, tags, rules)
    found, of_people = grouping.group_people(maps, tags, rules)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(of_people, scores, atol=1e-6)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@given(COSTS)
@settings(max_examples=60, deadline=None)
def test_ties_fall_as_in_the_loop(cost: np.ndarray) -> None:
    assert assign(cost) == loop_assign(cost)


@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([0.0, 0.5, 3.0]))
@settings(max_examples=40, deadline=None)
def test_the_best_cell_is_found_without_looking_at_all(seed: int, dimensions: int, spread: float) -> None:
    """Few values on purpose: ties are the rule, and the first cell in row order is wanted."""
    draw = np.random.default_rng(seed)
    height, width = draw.integers(1, 23, 2)
    maps = draw.integers(-2, 3, (2, height, width)).astype(np.float32) / 4
    tags = (spread * draw.integers(0, 4, (2, height, width, dimensions))).astype(np.float32)
    joints, means = draw.integers(0, 2, 9), draw.normal(0, 2, (9, dimensions)).astype(np.float32)
    search = TagSearch(torch.from_numpy(maps), torch.from_numpy(tags))
    found = search.best(torch.from_numpy(joints), torch.from_numpy(means)).numpy()
    for place, joint, mean in zip(found, joints, means, strict=True):
        away = torch.from_numpy(tags[joint] - mean).square().sum(dim=2).sqrt().round().numpy()
        assert place == int((maps[joint] - away).argmax())


def test_a_crowd_is_searched_in_few_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search costs is the cells it looks at; blobs of other people must not count as hopeful everywhere."""
    looked = []
    reached = TagSearch._reached

    def counting(self: TagSearch, *args: object) -> torch.Tensor:
        cells = reached(self, *args)  # type: ignore[arg-type]
        looked.append(cells.numel())
        return cells

    maps, tags = crowd(30, seed=30)
    people, _ = grouping.group_people(maps, tags, grouping.AE_RULES, fill=False)
    missing = int((people[..., 2] == 0).sum())
    monkeypatch.setattr(TagSearch, "_reached", counting)
    grouping.fill_missing(people, maps, tags, form="ae")
    assert missing > 400
    assert sum(looked) < 0.035 * missing * maps[0].numel()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_mean_tags_are_added_joint_by_joint(dimensions: int) -> None:
    """In float32 the order of adding shows; one person of many joints, another of few."""
    draw = np.random.default_rng(4)
    people = grouping._People(17, dimensions, 3)
    held: dict[float, list[np.ndarray]] = {}
    for person, joints in ((0, 17), (1, 5), (2, 11)):
        tags = (draw.normal(0, 1, (joints, dimensions)) + 10 * person).astype(np.float32)
        key = float(tags[0, 0])
        people.open(0, np.zeros(3 + dimensions), tags[0])
        for joint, tag in enumerate(tags[1:], 1):
            people.extend(key, joint, np.zeros(3 + dimensions), tag, 0.1)
        held[key] = list(tags)
    wanted = [np.mean(tags, axis=0) for tags in held.values()]
    assert people.mean_tags().tobytes() == np.array(wanted).tobytes()


@pytest.mark.parametrize(("height", "width"), [(90, 150), (203, 310), (128, 128)])
def test_large_maps_are_searched_from_large_tiles_down(height: int, width: int) -> None:
    """Sides that no tile divides, patches of tags as a network gives them, and ties."""
    draw = np.random.default_rng(height)
    coarse = draw.integers(0, 6, (2, -(-height // 6), -(-width // 6), 2))
    tags = coarse.repeat(6, axis=1).repeat(6, axis=2)[:, :height, :width].astype(np.float32)
    maps = (draw.integers(0, 40, (2, height, width)) / 40).astype(np.float32)
    joints, means = draw.integers(0, 2, 60), draw.uniform(-3, 9, (60, 2)).astype(np.float32)
    found = TagSearch(torch.from_numpy(maps), torch.from_numpy(tags)).best(
        torch.from_numpy(joints), torch.from_numpy(means)
    )
    for place, joint, mean in zip(found.tolist(), joints, means, strict=True):
        away = torch.from_numpy(tags[joint] - mean).square().sum(dim=2).sqrt().round().numpy()
        assert place == int((maps[joint] - away).argmax())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), dimensions=st.sampled_from([1, 2]))
def test_mean_tags_are_added_as_published(seed: int, dimensions: int) -> None:
    """To the last digit: a tag distance of just a half is rounded after it."""
    rng = np.random.default_rng(seed)
    maps = np.round(rng.normal(3, 0.3, (17, 9, 7, dimensions)), 2).astype(np.float32)
    people = np.zeros((6, 17, 3 + dimensions), dtype=np.float32)
    people[..., 0], people[..., 1] = rng.integers(0, 7, (6, 17)), rng.integers(0, 9, (6, 17))
    people[..., 2] = rng.random((6, 17)) < 0.7
    people[:, 0, 2] = 1
    found = grouping.mean_tags(torch.from_numpy(people), torch.from_numpy(maps)).numpy()
    for person, mean in zip(people, found, strict=True):
        own = [maps[joint, int(row[1]), int(row[0])] for joint, row in enumerate(person) if row[2] > 0]
        np.testing.assert_array_equal(mean, np.mean(own, axis=0))
