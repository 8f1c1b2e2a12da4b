"""Which run may be taken up again, and whether its weights are still the same."""

from __future__ import annotations

from typing import Any

from poseviewer.core.errors import CallError
from poseviewer.project import Project, RunRow


def stopped_run(project: Project, media: int) -> RunRow | None:
    """Return the newest run of a media that stopped before its end, or None.

    One that came to its end has nothing left, even if some frames could not be read; what was imported has no networks
    and cannot go on.
    """
    for row in sorted(project.runs(media), key=lambda row: -row.id):
        if can_continue(project, row):
            return row
    return None


def can_continue(project: Project, row: RunRow) -> bool:
    """Return whether a run stopped before its end and can be taken up again."""
    return row.outcome != "done" and bool(row.networks) and bool(project.unfinished(row.id))


def check_same_weights(before: dict[str, Any], now: dict[str, Any], *, with_detector: bool, remedy: str) -> None:
    """Refuse to mix what two sets of weights find in one run.

    Args:
        before, now: what a run records of its networks.
        with_detector: whether the detector is used at all.
        remedy: what to do about it, one sentence.

    Raises:
        CallError: naming the network that is another one now.
    """
    for part in ("estimator", *(("detector",) if with_detector else ())):
        old, new = before.get(part) or {}, now.get(part) or {}
        if old.get("sha256") != new.get("sha256") or fed_otherwise(old, new):
            name = f"{part} {old.get('name', '')}".strip()
            raise CallError(f"The {name} is not the one that the run began with.", remedy=remedy)


def other_weights(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the networks that are not those of a run any more.

    Args:
        before: what a run recorded of its networks; one that it did not record is not compared.
        now: as :meth:`poseviewer.pipeline.networks.Networks.loaded_weights` says it.
    """
    found = []
    for part in ("estimator", "detector"):
        old, new = before.get(part) or {}, now.get(part) or {}
        recorded = bool(old.get("sha256") and new.get("sha256"))
        if recorded and (old["sha256"] != new["sha256"] or fed_otherwise(old, new)):
            found.append(str(new.get("name") or part))
    return tuple(found)


def fed_otherwise(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether facts beside the file of one network were settled otherwise since; older runs do not say."""
    return old.get("fed") is not None and old["fed"] != new.get("fed")
