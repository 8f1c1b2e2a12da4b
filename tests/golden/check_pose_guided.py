"""AlphaPose's box augmentation."""

from __future__ import annotations

import json
from collections.abc import Iterator

from goldenfolder import Comparison, Vectors, check, close

from poseviewer.training.pose_guided import ProposalDraws, master_proposal


@check("alphapose/dpg.json", "proposals")
def proposals(data: Vectors) -> Iterator[Comparison]:
    for case, row in enumerate(json.loads(data.path.read_text())):
        draws = ProposalDraws(row["patch_scale"], tuple(row["uniforms"]), tuple(row["normals"]))
        found = master_proposal(row["bbox"], (row["imgwidth"], row["imght"]), draws)
        yield close(f"box {case}", found, row["out"], 1e-9)
