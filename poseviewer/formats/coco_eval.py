"""The COCO evaluation through pycocotools, without its chatter on the terminal.

The summary is computed from pycocotools' precision and recall tables, so a limit of persons an image other than 20
works too (its own summary accepts no other).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Json = dict[str, Any]
AREA_RULE = 0.53
"""Share of a person's box that its segment covers, in the mean over COCO's persons; used where no area is known."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep pycocotools' messages off stdout, where results go."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def load_coco(dataset: Json) -> Any:
    """Return a ``pycocotools.coco.COCO`` over ``dataset`` without printing."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    with quiet():
        coco.createIndex()
    return coco


def coco_scores(
    truth: Any,
    results: Sequence[Json],
    kind: Literal["keypoints", "bbox"],
    *,
    sigmas: npt.NDArray[np.float64] | None = None,
    category: int = 1,
    limit: int | None = None,
) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm, ARl (0..1; None where nothing counts).

    Args:
        truth: a ``COCO`` with the true annotations.
        results: COCO results.
        kind: similarity by keypoints (OKS) or by box (IoU).
        sigmas: ``(K,)`` OKS sigmas; pycocotools' own 17 by default.
        category: the category that is scored.
        limit: persons an image that count, best score first; 20 for keypoints and 100 for boxes by default.
    """
    from pycocotools.cocoeval import COCOeval

    names = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
    if not results:
        counted = any(not a.get("iscrowd") and a.get("num_keypoints", 1) for a in truth.dataset["annotations"])
        return dict.fromkeys(names, 0.0 if counted else None)
    with quiet():
        found = truth.loadRes([dict(entry) for entry in results])
        scorer = COCOeval(truth, found, kind)
        if sigmas is not None:
            scorer.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=np.float64)
        scorer.params.catIds = [category]
        scorer.params.maxDets = [limit or (20 if kind == "keypoints" else 100)]
        scorer.evaluate()
        scorer.accumulate()
    return _summary(scorer)


def _summary(scorer: Any) -> dict[str, float | None]:
    precision, recall = scorer.eval["precision"], scorer.eval["recall"]  # (T, R, categories, areas, limits), (T, ...)
    areas = list(scorer.params.areaRngLbl)
    at50, at75 = (int(np.argmin(np.abs(scorer.params.iouThrs - value))) for value in (0.5, 0.75))

    def mean(table: npt.NDArray[np.float64]) -> float | None:
        counted = table[table > -1]
        return float(counted.mean()) if counted.size else None

    everything = areas.index("all")
    return {
        "AP": mean(precision[..., everything, -1]),
        "AP50": mean(precision[at50, ..., everything, -1]),
        "AP75": mean(precision[at75, ..., everything, -1]),
        "APm": mean(precision[..., areas.index("medium"), -1]),
        "APl": mean(precision[..., areas.index("large"), -1]),
        "AR": mean(recall[..., everything, -1]),
        "AR50": mean(recall[at50, ..., everything, -1]),
        "AR75": mean(recall[at75, ..., everything, -1]),
        "ARm": mean(recall[..., areas.index("medium"), -1]),
        "ARl": mean(recall[..., areas.index("large"), -1]),
    }
