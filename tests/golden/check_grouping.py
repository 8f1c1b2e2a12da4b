"""Assignment and grouping by associative embedding, in both published forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import grouping
from poseviewer.ops.grouping import AE_RULES, GroupingRules
from poseviewer.ops.munkres import assign

AE, HIGHER = "hrnet_ae/parser_ae.npz", "hrnet_ae/parser_higher.npz"
VARIANTS = {
    "match": AE_RULES,
    "match_no_detval": replace(AE_RULES, use_value=False),
    "match_keep_too_many": replace(AE_RULES, ignore_too_much=False),
    "match_thr03_tag05": replace(AE_RULES, detection_threshold=0.03, tag_threshold=0.5),
}


@check("hrnet_ae/munkres.npz", "assignment")
def assignment(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("cost_"):
        yield same(name, assign(data[name]), data[name.replace("cost", "pairs")])


def scenes(data: Vectors) -> list[str]:
    """The names of the scenes, in their order."""
    numbers = {int(found[1]) for name in data.names("s") if (found := re.match(r"s(\d+)_det$", name))}
    return [f"s{number}" for number in sorted(numbers)]


def higher_scenes(data: Vectors) -> list[str]:
    """Those that the reference could parse."""
    options = data.json()
    return [scene for scene in scenes(data) if not options[int(scene[1:])].get("error")]


def higher_rules(data: Vectors, scene: str) -> GroupingRules:
    options = data.json()[int(scene[1:])]
    return GroupingRules(
        most=int(str(options["max_num_people"])),
        detection_threshold=float(str(options["detection_threshold"])),
        tag_threshold=float(str(options["tag_threshold"])),
        use_value=bool(options["use_detection_val"]),
        ignore_too_much=bool(options["ignore_too_much"]),
        kernel=int(str(options["nms_kernel"])),
    )


def top(data: Vectors, scene: str, rules: GroupingRules) -> Iterator[Comparison]:
    """Candidates: values and, where no value is met twice in the map, places and tags."""
    maps, tags = data.tensor(f"{scene}_det"), data.tensor(f"{scene}_tag")
    found = grouping.top_candidates(maps[None], tags[None], rules)
    values = data[f"{scene}_val_k"]
    yield same(f"{scene} values", found.values[0], values)
    counts = np.stack([np.isin(row, row[1:][row[1:] == row[:-1]]) for row in values])
    # The last value may tie with one that was left out, and zeros tie with all other zeros.
    alone = ~counts & (values != values[:, -1:]) & (values > 0)
    yield same(f"{scene} places", found.xy[0].numpy()[alone], data[f"{scene}_loc_k"][alone])
    yield same(f"{scene} tags", found.tags[0].numpy()[alone], data[f"{scene}_tag_k"][alone])


def matched(data: Vectors, scene: str, rules: GroupingRules) -> np.ndarray:
    parts = (data[f"{scene}_{name}"] for name in ("val_k", "loc_k", "tag_k"))
    return grouping.match_by_tag(*parts, rules)


@check(AE, "candidates")
def ae_candidates(data: Vectors) -> Iterator[Comparison]:
    for scene in scenes(data):
        yield from top(data, scene, AE_RULES)


@check(AE, "matching, all variants")
def ae_matching(data: Vectors) -> Iterator[Comparison]:
    for scene in scenes(data):
        for name, rules in VARIANTS.items():
            yield same(f"{scene} {name}", matched(data, scene, rules), data[f"{scene}_{name}"])
        padded = np.zeros_like(data[f"{scene}_padded"])
        people = matched(data, scene, AE_RULES)[: len(padded)]
        padded[: len(people)] = people
        yield same(f"{scene} padded", padded, data[f"{scene}_padded"])


@check(AE, "adjusting and filling")
def ae_finishing(data: Vectors) -> Iterator[Comparison]:
    for scene in scenes(data):
        maps, tags = data.tensor(f"{scene}_det"), data.tensor(f"{scene}_tag")
        people = grouping.adjust(torch.from_numpy(matched(data, scene, AE_RULES)), maps)
        yield close(f"{scene} adjusted", people, data[f"{scene}_final"], 1e-4)
        filled = grouping.fill_missing(people, maps, tags, form="ae")
        yield close(f"{scene} filled", filled, data[f"{scene}_refined"], 1e-4)


@check(HIGHER, "candidates")
def higher_candidates(data: Vectors) -> Iterator[Comparison]:
    for scene in higher_scenes(data):
        yield from top(data, scene, higher_rules(data, scene))


@check(HIGHER, "matching")
def higher_matching(data: Vectors) -> Iterator[Comparison]:
    for scene in higher_scenes(data):
        yield same(scene, matched(data, scene, higher_rules(data, scene)), data[f"{scene}_match"])


@check(HIGHER, "adjusting, scores and filling")
def higher_finishing(data: Vectors) -> Iterator[Comparison]:
    for scene in higher_scenes(data):
        maps, tags = data.tensor(f"{scene}_det"), data.tensor(f"{scene}_tag")
        people = torch.from_numpy(matched(data, scene, higher_rules(data, scene)))
        people = grouping.adjust(people, maps)
        yield close(f"{scene} adjusted", people, data[f"{scene}_adjusted"], 1e-4)
        yield close(f"{scene} scores", grouping.person_scores(people), data[f"{scene}_scores"], 1e-6)
        filled = grouping.fill_missing(people, maps, tags)
        yield close(f"{scene} filled", filled, data[f"{scene}_refined"], 1e-4)
