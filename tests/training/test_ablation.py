"""Ablations: equal budgets differ in one thing only, results are kept run by run, and tables say what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_detection_data import write_sets

from poseviewer.core.errors import CallError, FormatError, WeightsError
from poseviewer.core.progress import JobEvent
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPose, initialise
from poseviewer.nets.weights import EstimatorHeader, load_estimator, save_estimator
from poseviewer.nets.yolo import build_yolo, load_yolo, save_yolo
from poseviewer.training import ablation
from poseviewer.training import ablation_estimator as parts
from poseviewer.training.ablation import Ablations, Budgets, Planned, main, run_all
from poseviewer.training.ablation_tables import BEGIN, END, tables, with_tables
from poseviewer.training.ablation_tables import main as write_page
from poseviewer.training.datasets import standard_sources
from poseviewer.training.detection import DetectionConfig
from poseviewer.training.outcomes import Outcome, read_outcomes, write_outcomes
from tests.training.people import draw_people
from tests.training.test_estimator import TINY

DOCS = Path(__file__).resolve().parents[2] / "docs"
AMOUNT = parts.Amount(8, 4, (64, 96), 5e-3)
SHAPE = skeleton()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people as lspet and coco, to train on and to validate with."""
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("lspet", "coco")):
        for split in ("train", "val", "teacher_train"):
            draw_people(folder / name, split, 4, seed=seed)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An estimator that learnt nothing."""
    torch.manual_seed(0)
    net = FastPose(TINY)
    initialise(net)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_estimator(path, net, EstimatorHeader(spec=parts.fresh_spec((64, 96)), network=TINY))
    return path


def quiet(line: str) -> None:
    """Tell nobody."""


def test_human_sources_hold_nothing_of_a_teacher(data: Path) -> None:
    assert {source.kind for source in standard_sources(data)} == {"human", "teacher-unlabelled"}
    chosen = parts.human_sources(data)
    assert [source.name for source in chosen] == ["lspet", "coco"]
    assert not any(source.teacher for source in chosen)


def test_the_same_run_gives_the_same_network_and_another_objective_another(data: Path, tmp_path: Path) -> None:
    sources = parts.human_sources(data)
    told: list[str] = []

    def train(*, integral: bool = False, seed: int = 0) -> torch.Tensor:
        net, spec = parts.train_crops(
            sources, tmp_path, AMOUNT, integral=integral, seed=seed, network=TINY, tell=told.append
        )
        assert spec.decode == ("integral" if integral else "master")
        return torch.cat([p.flatten() for p in net.parameters()])

    first = train()
    assert len(told) == AMOUNT.steps == 2
    assert torch.equal(first, train())
    assert not torch.equal(first, train(integral=True))
    assert not torch.equal(first, train(seed=1))


def test_variants_of_the_transformer_differ_where_they_should(data: Path, weights: Path, tmp_path: Path) -> None:
    sources = parts.human_sources(data)

    def train(variant: parts.Variant) -> tuple[torch.nn.Module, torch.nn.Module | None, EstimatorHeader]:
        return parts.train_proposals(weights, sources, tmp_path, AMOUNT, variant, tell=quiet)

    before = load_estimator(weights).module.state_dict()["conv_out.weight"]
    untouched, plain, alone, parallel = (train(v) for v in ("untouched", "plain", "alone", "parallel"))
    assert torch.equal(untouched[0].state_dict()["conv_out.weight"], before)
    assert untouched[1] is None
    assert plain[1] is None
    assert not torch.equal(plain[0].state_dict()["conv_out.weight"], before)
    thetas = [trained[1](torch.zeros(1, 3, 96, 64)) for trained in (alone, parallel) if trained[1] is not None]
    assert len(thetas) == 2
    assert all(not torch.equal(theta[0], torch.eye(2, 3)) for theta in thetas)
    assert not torch.equal(*thetas)
    assert parallel[2].spec.stn
    assert not plain[2].spec.stn


def test_a_variant_is_measured_with_erring_boxes_and_behind_a_detector(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    trained = parts.train_proposals(weights, [], tmp_path, AMOUNT, "untouched", tell=quiet)
    yardstick = parts.Yardstick(data, SHAPE)
    file = tmp_path / "out.safetensors"
    detector = resource("weights/detector.safetensors")
    found = parts.proposal_figures(trained, "untouched", yardstick, file, detector, 1)
    assert found.keys() == {
        "lspet_pck", "coco_pck", "coco_ap", "coco_ap50", "centring", "behind_ap", "behind_ap50",
    }  # fmt: skip
    assert all(0 <= value <= 1 for value in found.values())
    assert found["centring"] > 0
    assert load_estimator(file).spec.input_wh == (64, 96)


def test_boxes_that_are_right_are_off_by_nothing_and_a_larger_cut_by_its_size(data: Path) -> None:
    yardstick = parts.Yardstick(data, SHAPE)
    spec = parts.fresh_spec((64, 96))
    yardstick._cut[("coco", (64, 96), True, 1.25)] = yardstick.given("coco", (64, 96))
    assert yardstick.centring(spec, None, 1.25) == pytest.approx(0.0, abs=1e-9)
    yardstick._cut[("coco", (64, 96), True, 1.5)] = yardstick.given("coco", (64, 96), enlarge=1.5)
    assert yardstick.centring(spec, None, 1.5) == pytest.approx(0.1 * np.hypot(64, 96) / 96)


def test_the_mean_of_people_who_stand_alike_is_how_they_stand(data: Path) -> None:
    pose = parts.mean_pose(parts.human_sources(data), SHAPE, (64, 96))
    assert pose[:, 0].mean() == pytest.approx(31.5)
    figures = parts.Yardstick(data, SHAPE).of_one_pose(pose, (64, 96))
    assert figures["coco_pck"] == figures["lspet_pck"] == 1.0
    assert figures["coco_ap50"] == pytest.approx(1.0)
    assert parts.Yardstick(data, SHAPE).of_one_pose(pose + 20, (64, 96))["coco_pck"] < 0.1


def test_backends_are_measured_in_one_process(data: Path, weights: Path) -> None:
    figures, words = parts.backend_figures(weights, parts.Yardstick(data, SHAPE), rounds=1, batch=2)
    assert words["eager"].startswith("torch, plain, float32")
    assert "bf16" in words["bf16"]
    assert figures["auto_coco_ap"] == pytest.approx(figures["eager_coco_ap"], abs=1e-3)
    assert figures["eager_clock"] == figures["eager_processor"] == 1.0
    assert all(figures[f"{name}_pace"] > 0 for name in words)


def test_foreign_weights_cannot_be_gone_on_from(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = replace(load_estimator(weights), header=None)
    monkeypatch.setattr(parts, "load_estimator", lambda path: foreign)
    with pytest.raises(WeightsError, match="not a weight file of PoseViewer"):
        parts.train_proposals(weights, [], tmp_path, AMOUNT, "plain")


def test_a_detector_learns_from_human_boxes_alone(weights: Path, tmp_path: Path) -> None:
    layout = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8")) | {"width_multiple": 0.0625}
    teacher = tmp_path / "teacher.safetensors"
    save_yolo(teacher, build_yolo(layout), layout, classes={0: "person"})
    budgets = Budgets(pictures=16, picture_size=64)
    detector = resource("weights/detector.safetensors")
    found = Ablations(write_sets(tmp_path / "data"), tmp_path / "out", teacher, budgets, weights, detector)
    figures, _ = found.pictures("detector-human", 0)
    assert {"coco_ap50", "coco_ap", "coco_recall", "photos_ap50", "photos_ap"} <= figures.keys()
    folder = tmp_path / "out" / "detector-human-0"
    trained = load_yolo(folder / "detector.safetensors")
    assert trained.settings["trained"] == {"pictures": 16, "steps": 1}
    assert trained.settings["input_size"] == 64
    assert (folder / "pictures.bin").resolve() == tmp_path / "out" / "pictures.bin"


def test_only_the_taught_detector_asks_the_teacher(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[DetectionConfig] = []

    def refuse(config: DetectionConfig) -> list[JobEvent]:
        asked.append(config)
        raise CallError("Enough.")

    monkeypatch.setattr(ablation, "train_detector", refuse)
    monkeypatch.setattr(ablation, "pack_pictures", lambda data, folder: None)
    detector = resource("weights/detector.safetensors")
    found = Ablations(tmp_path, tmp_path / "out", tmp_path / "none.pt", Budgets(), weights, detector)
    for name in ("detector-taught", "detector-human"):
        with pytest.raises(CallError, match="Enough"):
            found.pictures(name, 1)
    first, second = asked
    assert (first.distil, second.distil) == (True, False)
    assert replace(first, distil=False, folder=second.folder, layout=second.layout) == second
    assert (second.seed, second.pictures) == (2, Budgets().pictures)


class Counted(Ablations):
    """Two runs that count how often they are done."""

    def __init__(self, out: Path, budget: str = "much") -> None:
        self.out = out
        self.budget = budget
        self.done: list[str] = []

    def plan(self, seeds: int) -> Iterator[Planned]:
        """Two names, so many seeds."""
        for seed in range(seeds):
            for name in ("heatmap", "sikr"):
                yield Planned(name, seed, self.budget, lambda key=f"{name}-{seed}": self.work(key))  # type: ignore[misc]

    def work(self, key: str) -> tuple[dict[str, float], dict[str, str]]:
        """Figures that anybody can see."""
        self.done.append(key)
        return {"lspet_pck": 0.25, "coco_pck": 0.5, "coco_ap": 0.125, "coco_ap50": 1 / 3}, {}


def test_what_has_a_result_for_the_same_budget_is_not_repeated(tmp_path: Path) -> None:
    first = Counted(tmp_path)
    run_all(first, seeds=1, only=("sikr",))
    assert first.done == ["sikr-0"]
    second = Counted(tmp_path)
    assert len(run_all(second, seeds=2)) == 4
    assert second.done == ["heatmap-0", "heatmap-1", "sikr-1"]
    assert "heatmap MSE" in (tmp_path / "tables.md").read_text()
    other = Counted(tmp_path, "more")
    assert len(run_all(other, seeds=1, only=("sikr", "heatmap"))) == 4
    assert other.done == ["sikr-0", "heatmap-0"]
    assert [o.budget for o in read_outcomes(tmp_path / "results.json")].count("more") == 2
    with pytest.raises(CallError, match="no run swim"):
        run_all(other, seeds=1, only=("swim",))


def test_the_command_runs_from_the_data_to_the_table(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--teacher", "none.pt", "--out", str(tmp_path), "--estimator", str(weights)]
    assert main([*words, "--scale", "0.0051", "--only", "heatmap,human"]) == 0
    outcomes = read_outcomes(tmp_path / "results.json")
    assert [o.run for o in outcomes] == ["heatmap", "human"]
    assert outcomes[0].budget == "64 crops of 64 x 96, 2 steps of 32, rate 0.002"
    assert "human labels alone" in capsys.readouterr().out
    assert main([*words, "--only", "nothing"]) == 2
    assert "no run nothing" in capsys.readouterr().err


def test_every_budget_grows_by_the_same_factor() -> None:
    once, twice = Budgets(), Budgets().scaled(2.0)
    assert twice.crops.entries == 2 * once.crops.entries
    assert twice.proposals.steps == 2 * once.proposals.steps
    assert (twice.pictures, twice.behind) == (2 * once.pictures, once.behind)


def outcome(run: str, seed: int, ap: float) -> Outcome:
    figures = {"lspet_pck": 0.4, "coco_pck": 0.5, "coco_ap": ap, "coco_ap50": 0.25}
    return Outcome(run, seed, "64 crops", figures, {}, 12.0)


def test_tables_show_every_seed_and_what_chance_does() -> None:
    text = tables([outcome("sikr", 0, 0.1), outcome("heatmap", 1, 0.123), outcome("heatmap", 0, 0.15)])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| heatmap MSE, peaks | 0 | 0.400 | 0.500 | 0.150 | 0.250 |",
        "| heatmap MSE, peaks | 1 | 0.400 | 0.500 | 0.123 | 0.250 |",
        "| SIKR, integration | 0 | 0.400 | 0.500 | 0.100 | 0.250 |",
        "| largest difference between two seeds of one row | | 0.000 | 0.000 | 0.027 | 0.000 |",
    ]
    assert "Budget of each run: 64 crops." in text
    assert "heatmap 12, sikr 12" in text


def test_the_table_of_backends_says_what_each_one_was() -> None:
    names = ("eager", "auto", "bf16")
    keys = ("lspet_pck", "coco_pck", "coco_ap", "coco_ap50", "clock", "processor")
    figures = {f"{name}_{key}": place + 0.5 for place, name in enumerate(names) for key in keys}
    words = {"eager": "torch, plain, float32", "auto": "torch, float32", "bf16": "torch, bf16, differs by a lot"}
    text = tables([Outcome("backends", 0, "8 rounds", figures, words | {"estimator": "abc"})])
    assert "| what `auto` picks: torch, float32 | 1.500 | 1.500 | 1.500 | 1.500 | 1.50 | 1.50 |" in text
    assert "The answers of torch, bf16 differ by a lot." in text
    assert text.count("The answers of") == 1


def test_one_run_alone_is_no_comparison() -> None:
    assert tables([outcome("heatmap", 0, 0.1)]) == ""


def test_results_are_kept_to_six_places_and_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_outcomes(file, [outcome("heatmap", 0, 1 / 3)])
    assert read_outcomes(file) == [outcome("heatmap", 0, 0.333333)]
    file.write_text("[{}]")
    with pytest.raises(FormatError, match="holds no results"):
        read_outcomes(file)
    with pytest.raises(FormatError, match="cannot be read"):
        read_outcomes(tmp_path / "none.json")


def test_a_page_gets_its_tables_between_the_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [outcome("heatmap", 0, 0.1), outcome("sikr", 0, 0.2)]
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    write_outcomes(results, found)
    page.write_text(f"Before.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    assert write_page([str(results), str(page)]) == 0
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert tables(found) in text
    assert with_tables(text, found) == text
    page.write_text("No marks.")
    assert write_page([str(results), str(page)]) != 0
    assert "no marks" in capsys.readouterr().err


def test_the_published_tables_are_those_of_the_published_results() -> None:
    page = (DOCS / "ablations.md").read_text(encoding="utf-8")
    assert with_tables(page, read_outcomes(DOCS / "ablations.json")) == page
