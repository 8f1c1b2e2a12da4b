"""The figures of an evaluation as a frozen value."""

from __future__ import annotations

from typing import Any

import msgspec

from poseviewer.core.words import counted, people


class Report(msgspec.Struct, frozen=True):
    """How well a results list agrees with an annotation file.

    Attributes:
        oks: AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm, ARl by keypoint similarity, 0..1; None where nothing counts;
            CrowdPose's AP easy, AP medium and AP hard where the images say how crowded they are.
        box: the same by box overlap; None without boxes in the results.
        pck: share of the labelled joints within 0.2 torso lengths, 0..1; None where no person has a torso.
        pck_joints: the same for each joint; None where it is labelled in no such person.
        images: number of images in the truth.
        persons: number of persons that OKS counts (not a crowd, at least one labelled joint).
        pck_persons: number of persons with a torso length.
        not_found: how many of those had no result overlapping them (all their joints count as wrong).
        results: number of results.
        notes: what was assumed on the way, one sentence each.
    """

    oks: dict[str, float | None]
    box: dict[str, float | None] | None
    pck: float | None
    pck_joints: dict[str, float | None]
    images: int
    persons: int
    pck_persons: int
    not_found: int
    results: int
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON, with the OKS figures at the top as well."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {**self.oks, "PCK@0.2": self.pck, **fields}

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""

        def figure(value: float | None) -> str:
            return "    -" if value is None else f"{value:.3f}"

        known = f"{people(self.persons)} with joints in {counted(self.images, 'image')}"
        rows = [f"{counted(self.results, 'result')}, {known}", ""]
        by_joints = any(value is not None for value in (*self.oks.values(), self.pck)) or self.box is None
        if by_joints:
            rows += [f"{'OKS ' + name:<12} {figure(value)}" for name, value in self.oks.items()]
        if self.box is not None:
            rows += ["", *(f"{'Box ' + name:<12} {figure(self.box[name])}" for name in ("AP", "AP50", "AR"))]
        if by_joints:
            missed = f"{people(self.pck_persons)}, {self.not_found} not found"
            rows += ["", f"PCK@0.2      {figure(self.pck)}   ({missed})"]
            rows += [f"  {name:<16} {figure(value)}" for name, value in self.pck_joints.items()]
        return rows + [f"Note: {note}" for note in self.notes]
