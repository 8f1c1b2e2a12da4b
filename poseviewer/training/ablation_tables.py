"""The results of `training.ablation` as markdown tables; no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poseviewer.core.errors import FormatError, KnownError
from poseviewer.core.files import write_bytes
from poseviewer.training.outcomes import Outcome, read_outcomes

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


@dataclass(frozen=True, slots=True)
class Table:
    """One comparison.

    Attributes:
        title: of the section.
        rows: (run, what to call it), the reference first.
        columns: (figure, what to call it).
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]


ACCURACY = (
    ("lspet_pck", "lspet/val PCK@0.2"),
    ("coco_pck", "coco/val PCK@0.2"),
    ("coco_ap", "coco/val OKS AP"),
    ("coco_ap50", "AP50"),
)
TABLES = (
    Table(
        "Symmetric integral regression against heatmap MSE",
        (
            ("mean", "for comparison: the mean pose for everybody"),
            ("heatmap", "heatmap MSE, peaks"),
            ("sikr", "SIKR, integration"),
        ),
        ACCURACY,
    ),
    Table(
        "The estimator with and without a teacher's people and joints",
        (("heatmap", "with the teacher's"), ("human", "human labels alone")),
        ACCURACY,
    ),
    Table(
        "With and without STN and parallel SPPE",
        (
            ("untouched", "not trained further"),
            ("plain", "no transformer"),
            ("alone", "STN + SDTN, no parallel SPPE"),
            ("parallel", "STN + SDTN + parallel SPPE"),
        ),
        (
            ("lspet_pck", "lspet/val PCK@0.2, erring boxes"),
            ("coco_pck", "coco/val PCK@0.2, erring boxes"),
            ("coco_ap", "coco/val OKS AP, erring boxes"),
            ("behind_ap", "OKS AP behind the detector"),
            ("centring", "crop's corners off"),
        ),
    ),
    Table(
        "The detector with and without distillation",
        (("detector-taught", "teacher's answers and human boxes"), ("detector-human", "human boxes alone")),
        (
            ("coco_ap50", "coco/val AP50"),
            ("coco_ap", "AP"),
            ("coco_recall", "recall"),
            ("photos_ap50", "photos/val (human) AP50"),
            ("photos_ap", "AP"),
        ),
    ),
)
UNTRAINED = ("mean", "untouched")
BACKENDS = (("eager", "reference"), ("auto", "what `auto` picks"), ("bf16", "for comparison"))
"""Rows of the backends' table: prefixes of the figures of one run."""
PACES = (
    ("clock", "pace to the reference, clock"),
    ("processor", "the same, processor time"),
)


def tables(outcomes: Sequence[Outcome]) -> str:
    """All tables that the results suffice for, each with its budget and what chance does."""
    parts = [_comparison(table, outcomes) for table in TABLES]
    parts += [_backends(outcome) for outcome in outcomes if outcome.run == "backends"]
    return "\n".join(part for part in parts if part)


def _comparison(table: Table, outcomes: Sequence[Outcome]) -> str:
    names = [name for name, _ in table.rows]
    found = {name: sorted((o for o in outcomes if o.run == name), key=lambda o: o.seed) for name in names}
    if sum(bool(rows) for rows in found.values()) < 2:
        return ""
    head = ["", "seed", *(title for _, title in table.columns)]
    lines = [f"## {table.title}", "", _row(head), _row(["---"] * len(head))]
    for name, words in table.rows:
        for outcome in found[name]:
            # Nothing is drawn where nothing is trained.
            seed = "-" if name in UNTRAINED else str(outcome.seed)
            lines.append(_row([words, seed, *(f"{outcome.figures[key]:.3f}" for key, _ in table.columns)]))
    spread = _spread(table, found)
    if spread:
        lines.append(_row(["largest difference between two seeds of one row", "", *spread]))
    return "\n".join([*lines, "", *_small_print(found), ""])


def _spread(table: Table, found: dict[str, list[Outcome]]) -> list[str]:
    repeated = [rows for rows in found.values() if len(rows) > 1]
    if not repeated:
        return []
    return [
        f"{max(max(o.figures[key] for o in rows) - min(o.figures[key] for o in rows) for rows in repeated):.3f}"
        for key, _ in table.columns
    ]


def _small_print(found: dict[str, list[Outcome]]) -> list[str]:
    every = [outcome for rows in found.values() for outcome in rows]
    budgets = dict.fromkeys(o.budget for o in every if o.run not in UNTRAINED)
    lines = [f"Budget of each run: {'; '.join(budgets)}."]
    facts = dict.fromkeys(f"{key} {value}" for o in every for key, value in o.facts.items())
    if facts:
        lines.append(f"Weights (SHA-256 begins): {', '.join(facts)}.")
    cost = ", ".join(
        f"{name} {sum(o.processor_seconds for o in rows) / len(rows):.0f}" for name, rows in found.items() if rows
    )
    return [*lines, f"Processor seconds a run, measuring included: {cost}."]


def _backends(outcome: Outcome) -> str:
    figures = outcome.figures
    head = ["", *(title for _, title in ACCURACY), *(title for _, title in PACES)]
    lines = ["## float32 against the backend that `auto` picks", "", _row(head), _row(["---"] * len(head))]
    for name, words in BACKENDS:
        cells = [f"{figures[f'{name}_{key}']:.3f}" for key, _ in ACCURACY]
        cells += [f"{figures[f'{name}_{key}']:.2f}" for key, _ in PACES]
        lines.append(_row([f"{words}: {outcome.facts[name].partition(', differs')[0]}", *cells]))
    lines += ["", f"Pace: medians of {outcome.budget}, all three in turns, one thread."]
    for name, _ in BACKENDS[1:]:
        answers, found, by = outcome.facts[name].partition(", differs")
        if found:
            lines.append(f"The answers of {answers} differ{by}.")
    lines.append(f"Weights (SHA-256 begins): estimator {outcome.facts['estimator']}.")
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def with_tables(page: str, outcomes: Sequence[Outcome]) -> str:
    """A page with its tables made anew, between the two marks.

    Raises:
        FormatError: the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise FormatError(f"The page has no marks {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{tables(outcomes)}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables of a results file into a page; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Write the tables of ablations into a page.")
    parser.add_argument("results", type=Path, help="results.json")
    parser.add_argument("page", type=Path, help="markdown with the two marks")
    options = parser.parse_args(arguments)
    try:
        page = with_tables(options.page.read_text(encoding="utf-8"), read_outcomes(options.results))
        write_bytes(options.page, page.encode())
    except KnownError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
