"""AlphaPose's result files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from goldenfolder import Check, Comparison, Vectors, check

from poseviewer.formats import alphapose_json as alpha


def equal(case: str, found: Any, wanted: Any) -> Comparison:
    """Compare JSON values; numbers may differ by what float32 leaves out."""
    return Comparison(case, _apart(found, wanted), 1e-7)


def _apart(found: Any, wanted: Any) -> float:
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or list(found) != list(wanted):
            return np.inf
        return max((_apart(found[key], value) for key, value in wanted.items()), default=0.0)
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return np.inf
        return max((_apart(mine, theirs) for mine, theirs in zip(found, wanted, strict=True)), default=0.0)
    if isinstance(wanted, float) and isinstance(found, float):
        return abs(found - wanted) / max(abs(wanted), 1.0)
    return 0.0 if type(found) is type(wanted) and found == wanted else np.inf


def images_of(rows: list[dict[str, Any]], *, old: bool = False) -> list[alpha.AlphaImage]:
    images = []
    for row in rows:
        people = tuple(
            alpha.AlphaPerson(
                np.concatenate([np.asarray(p["keypoints"]), np.asarray(p["kp_score"])], axis=1),
                float(np.ravel(p["proposal_score"])[0]),
                None if old else p["box"],
                None if old else p["idx"],
            )
            for p in row["result"]
        )
        images.append(alpha.AlphaImage(row["imgname"], people))
    return images


def writer(data: Vectors) -> Iterator[Comparison]:
    given = json.loads(data.path.read_text())
    images = images_of(given["input"])
    for name, wanted in given["master"].items():
        form = name.split("_")[0]
        if name.endswith("_sep_files"):
            found: Any = sorted(alpha.separate_name(key) for key in alpha.bodies(images, form))
            wanted = sorted(wanted)
        elif form in ("cmu", "open"):
            found = alpha.bodies(images, form)
        else:
            found = alpha.result_list(images, numbers=name.endswith("_eval"))
        yield equal(name, found, wanted)
    old = images_of(given["input"], old=True)
    for name, wanted in given.get("old", {}).items():
        found = alpha.result_list(old) if name in ("None", "coco") else alpha.bodies(old, name, version=alpha.OLD)
        yield equal(f"old {name}", found, wanted)


def first_release(dataset: str) -> Check:
    def part(data: Vectors) -> Iterator[Comparison]:
        scenes = data.path.with_name(f"nms_2017_{dataset}.npz")
        known = Vectors(scenes) if scenes.exists() else None
        for name, wanted in json.loads(data.path.read_text()).items():
            back, kit = alpha.body_entries({name: wanted}, data.path)
            people = tuple(alpha.AlphaPerson(np.reshape(entry.keypoints or [], (-1, 3))) for entry in back)
            if known is not None:
                # The file holds the first scenes of the suppression's vectors, pictures without people left out.
                scene = int(re.sub(r"\D", "", name))
                joints = np.concatenate([known[f"{scene}_out_kp"], _scores(known[f"{scene}_out_sc"])], axis=2)
                people = tuple(alpha.AlphaPerson(person) for person in joints)
            found = alpha.bodies([alpha.AlphaImage(name, people)], "cmu", version=alpha.FIRST)
            yield equal(f"{kit.name} {name}", found[name], wanted)

    return part


def _scores(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(*scores.shape[:2], 1)


check("alphapose/json_writer_*.json", "forms")(writer)
for _dataset in ("COCO", "MPII"):
    check(f"alphapose/json_2017_{_dataset}_cmu.json", "cmu form")(first_release(_dataset))
