"""What each part of the training is worth: every part left out once, on equal budgets.

    python -m poseviewer.training.ablation --data FOLDER --teacher YOLO.pt --out FOLDER [--seeds 2]

Runs that have a result for the same budget in OUT/results.json are not repeated; a killed command goes on with the
next one. OUT/tables.md is made from the results. Budgets are counted in crops, proposals and pictures, not in seconds,
so that a busy machine changes nothing. `--scale 4` trains everything four times longer, `--only heatmap,sikr` chooses.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from poseviewer.core.errors import CallError
from poseviewer.core.files import write_bytes
from poseviewer.core.progress import Note
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.weights import load_estimator
from poseviewer.pipeline.detector import Detector
from poseviewer.training import ablation_estimator as parts
from poseviewer.training.ablation_estimator import Amount, Figures, Yardstick
from poseviewer.training.ablation_tables import tables
from poseviewer.training.command import run_command
from poseviewer.training.datasets import standard_sources
from poseviewer.training.detection import DetectionConfig, Stage, train_detector
from poseviewer.training.detection_data import pack_pictures
from poseviewer.training.outcomes import Outcome, read_outcomes, write_outcomes
from poseviewer.training.validate_detector import validate_boxes

RESULTS, TABLES = "results.json", "tables.md"
Work = Callable[[], tuple[Figures, dict[str, str]]]
VARIANTS: tuple[parts.Variant, ...] = ("plain", "parallel", "untouched", "alone")


CROPS = Amount(12_800, 32, (64, 96), 2e-3)
DETECTOR_WIDTH = 0.125
"""Half of the bundled detector's."""
PROPOSALS = Amount(1_920, 16, (96, 128), 5e-4)


@dataclass(frozen=True, slots=True)
class Budgets:
    """How much the runs train.

    Attributes:
        crops: of an estimator from random weights.
        proposals: of an estimator with or without a transformer.
        pictures: of a detector of half the bundled one's width, with a side of `picture_size` pixels.
        behind: pictures on which an estimator is measured behind the detector.
        rounds: in which backends are timed.
    """

    crops: Amount = CROPS
    proposals: Amount = PROPOSALS
    pictures: int = 3_200
    picture_size: int = 160
    behind: int = 60
    rounds: int = 8

    def scaled(self, factor: float) -> Budgets:
        """The same with so many times the training."""
        crops = replace(self.crops, entries=int(self.crops.entries * factor))
        proposals = replace(self.proposals, entries=int(self.proposals.entries * factor))
        return replace(self, crops=crops, proposals=proposals, pictures=int(self.pictures * factor))


@dataclass(frozen=True, slots=True)
class Planned:
    """One run: its name, seed and budget in words, and what does it."""

    name: str
    seed: int
    budget: str
    work: Work


class Ablations:
    """All runs over one data folder.

    Args:
        data: folder with lspet/, coco/ and the others.
        out: folder for decoded pictures, weights and results.
        teacher: YOLO weights for the detector.
        budgets: how much everything trains.
        estimator, detector: weights that the transformer and the backends are tried with; copied into `out`, because
            the bundled ones may be replaced meanwhile.
    """

    def __init__(self, data: Path, out: Path, teacher: Path, budgets: Budgets, estimator: Path, detector: Path) -> None:
        self.data = data
        self.out = out
        self.teacher = teacher
        self.budgets = budgets
        out.mkdir(parents=True, exist_ok=True)
        self.estimator = _copied(estimator, out / "start.safetensors")
        self.detector = _copied(detector, out / "start-detector.safetensors")
        self.yardstick = Yardstick(data, skeleton(parts.SHAPE))

    def plan(self, seeds: int) -> Iterator[Planned]:
        """Every run, the first seed of all before the second of any."""
        crops, proposals = (self.budgets.crops.words("crops"), self.budgets.proposals.words("proposals"))
        side, count = self.budgets.picture_size, self.budgets.pictures
        pictures = f"{count:,} pictures of {side} pixels, {count // 16} steps of 16, rate 0.002"
        yield Planned("mean", 0, "nothing trained", self.mean)
        for seed in range(seeds):
            for name in ("heatmap", "sikr", "human"):
                yield Planned(name, seed, crops, partial(self.crops, name, seed))
            for name in ("detector-taught", "detector-human"):
                yield Planned(name, seed, pictures, partial(self.pictures, name, seed))
            for variant in VARIANTS:
                if variant != "untouched" or not seed:
                    amount = proposals if variant != "untouched" else "nothing trained"
                    yield Planned(variant, seed, amount, partial(self.proposals, variant, seed))
            if not seed:
                timed = f"{self.budgets.rounds} rounds of 16 crops"
                yield Planned("backends", seed, timed, self.backends)

    def mean(self) -> tuple[Figures, dict[str, str]]:
        """The mean pose of the training people for everybody: what has learnt more than that has seen pictures."""
        wh = self.budgets.crops.input_wh
        pose = parts.mean_pose(standard_sources(self.data), self.yardstick.shape, wh)
        return self.yardstick.of_one_pose(pose, wh), {}

    def crops(self, name: str, seed: int) -> tuple[Figures, dict[str, str]]:
        """An estimator from random weights: by heatmaps, by integral regression, or without a teacher's people."""
        sources = parts.human_sources(self.data) if name == "human" else standard_sources(self.data)
        net, spec = parts.train_crops(
            sources, self.out / "pixels", self.budgets.crops, integral=name == "sikr", seed=seed
        )
        return self.yardstick.figures(net, spec), {}

    def proposals(self, variant: parts.Variant, seed: int) -> tuple[Figures, dict[str, str]]:
        """The estimator on boxes that err, with and without a transformer."""
        sources = standard_sources(self.data)
        amount = self.budgets.proposals
        trained = parts.train_proposals(self.estimator, sources, self.out / "pixels", amount, variant, seed=seed)
        file = self.out / f"{variant}-{seed}.safetensors"
        found = parts.proposal_figures(trained, variant, self.yardstick, file, self.detector, self.budgets.behind)
        return found, self._weights()

    def pictures(self, name: str, seed: int) -> tuple[Figures, dict[str, str]]:
        """A detector from random weights, with a teacher's answers or by human boxes alone."""
        folder = self.out / f"{name}-{seed}"
        folder.mkdir(exist_ok=True)
        pack_pictures(self.data, self.out)
        layout = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8"))
        write_bytes(folder / "layout.yaml", yaml.safe_dump(layout | {"width_multiple": DETECTOR_WIDTH}).encode())
        for file in ("pictures.bin", "pictures.json"):
            if not (folder / file).exists():
                (folder / file).symlink_to(Path("..") / file)
        config = DetectionConfig(
            self.data,
            folder,
            self.teacher,
            layout=folder / "layout.yaml",
            pictures=self.budgets.pictures,
            stages=(Stage(1.0, self.budgets.picture_size, 0.35),),
            warm_up=max(self.budgets.pictures // 160, 1),
            validate_seconds=1e9,
            readers=0,
            seed=seed + 1,
            distil=name == "detector-taught",
        )
        for event in train_detector(config):
            print(event.text if isinstance(event, Note) else event, flush=True)
        detector = Detector.load(folder / "detector.safetensors")
        found: Figures = {}
        for place, human in (("coco", False), ("photos", True)):
            scores = validate_boxes(detector, self.data / place / "val.json", only_human=human)
            found |= {f"{place}_ap": scores.ap, f"{place}_ap50": scores.ap50, f"{place}_recall": scores.recall}
        return found, {}

    def backends(self) -> tuple[Figures, dict[str, str]]:
        """What "auto" picks against plain torch in float32."""
        figures, words = parts.backend_figures(self.estimator, self.yardstick, rounds=self.budgets.rounds)
        return figures, words | self._weights()

    def _weights(self) -> dict[str, str]:
        return {
            "estimator": load_estimator(self.estimator).sha256[:12],
            "detector": Detector.load(self.detector).spec.sha256[:12],
        }


def run_all(ablations: Ablations, *, seeds: int, only: Sequence[str] = ()) -> list[Outcome]:
    """Do the runs that have no result yet, `only` some in the order named; results and tables are written after each.

    Raises:
        CallError: `only` names a run that does not exist.
        KnownError: data or weights cannot be used.
    """
    planned = list(ablations.plan(seeds))
    unknown = sorted(set(only) - {each.name for each in planned})
    if unknown:
        raise CallError(f"There is no run {unknown[0]}; there are {', '.join(dict.fromkeys(p.name for p in planned))}.")
    if only:
        planned = sorted((each for each in planned if each.name in only), key=lambda each: only.index(each.name))
    file = ablations.out / RESULTS
    for each in planned:
        known = [(o.run, o.seed, o.budget) for o in _kept(file)]
        if (each.name, each.seed, each.budget) in known:
            continue
        print(f"{each.name}, seed {each.seed}: {each.budget}", flush=True)
        busy = time.process_time()
        figures, facts = each.work()
        outcome = Outcome(each.name, each.seed, each.budget, figures, facts, round(time.process_time() - busy, 1))
        print(outcome, flush=True)
        # Read again: another start of the command may have added a run meanwhile.
        others = [o for o in _kept(file) if (o.run, o.seed) != (each.name, each.seed)]
        write_outcomes(file, [*others, outcome])
        write_bytes(ablations.out / TABLES, tables([*others, outcome]).encode())
    return _kept(file)


def _kept(file: Path) -> list[Outcome]:
    return read_outcomes(file) if file.exists() else []


def _copied(source: Path, target: Path) -> Path:
    """A copy of weights, made once."""
    if not target.exists():
        shutil.copyfile(source, target)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Measure what each part of the training is worth.")
    parser.add_argument("--data", type=Path, required=True, help="folder with lspet/, coco/, ...")
    parser.add_argument("--teacher", type=Path, required=True, help="YOLO weights that the detector imitates")
    parser.add_argument("--out", type=Path, default=Path(".training/ablations"), help="results and working files")
    parser.add_argument("--estimator", type=Path, help="weights to begin with (default: the bundled ones)")
    parser.add_argument("--detector", type=Path, help="weights to measure behind (default: the bundled ones)")
    parser.add_argument("--seeds", type=int, default=1, help="how often each run is repeated with other draws")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the training")
    parser.add_argument("--only", default="", help="names of runs in the order wanted, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options), options.threads)


def _main(options: argparse.Namespace) -> None:
    ablations = Ablations(
        options.data.absolute(),
        options.out,
        options.teacher,
        Budgets().scaled(options.scale),
        options.estimator or resource("weights/estimator.safetensors"),
        options.detector or resource("weights/detector.safetensors"),
    )
    only = [name for name in options.only.split(",") if name]
    print(tables(run_all(ablations, seeds=options.seeds, only=only)))


if __name__ == "__main__":
    raise SystemExit(main())
