"""The closed loop in small: corrections of a project become weights that are better on frames nobody corrected."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from poseviewer.cli.main import run_command
from poseviewer.cli.progress import drive
from poseviewer.core.errors import CallError, FormatError, KnownError, MediaError
from poseviewer.core.progress import Note, Point, Progress
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import FrameResult, Pose
from poseviewer.jobs.export import ExportOptions, export_project
from poseviewer.jobs.retrain import (
    RetrainOrder,
    RetrainOutcome,
    ask_to_stop,
    event_line,
    read_event,
    retrain_project,
    take_snapshot,
)
from poseviewer.jobs.train import TrainOrder, shares_of, train_files
from poseviewer.media import open_media
from poseviewer.media.pictures import read_picture
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, load_estimator, read_own, save_estimator
from poseviewer.project import HeldOut, Project, edits, store_held_out
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Mixture
from poseviewer.training.datasets import gather, read_annotations
from poseviewer.training.holdout import HoldOut
from poseviewer.training.loop import Learner, LoopConfig
from poseviewer.training.objectives import HeatmapObjective
from poseviewer.training.unfinished import settle_mark
from tests.training.people import ARMS_UP, draw_people

SHAPE = skeleton()
TINY = FastPoseConfig(
    stem="strided", stem_width=8, block="basic", depths=(1, 1, 1, 1), planes=(16, 24, 32, 48), se_reduction=4,
    duc=(64, 64), laterals=True,
)  # fmt: skip
SPEC = EstimatorSpec(
    family="fastpose", skeleton="coco_17", joints=17, input_wh=(64, 96), heatmap_wh=(16, 24),
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), decode="master",
)  # fmt: skip
FRAMES, CORRECTED = 20, (0, 2, 4, 6, 8, 10, 12, 14)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny network that knows drawn people with their arms down, and others whose arms are up."""
    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(0)
    net = FastPose(TINY)
    initialise(net)
    file = draw_people(folder / "known", "train", 12)
    known = gather("known", read_annotations(file, folder / "known" / "images", SHAPE))
    gentle = AugmentConfig(0.1, 5.0, 0.02, 0.0, 0.0, 0.0, 0.0)
    mixture = Mixture([(1.0, known)], folder / "pixels", SHAPE, gentle)
    config = LoopConfig(steps=110, rate=5e-3, warm_up=10, average=0.9, precision="float32")
    learner: Learner[Any] = Learner(net, HeatmapObjective(SPEC, torch.ones(17), 1.0), config)
    for number in range(110):
        learner.learn(mixture.batch(number, 12, SPEC.input_wh, 1.0))
    weights = folder / "old.safetensors"
    save_estimator(weights, learner.average.module, EstimatorHeader(spec=SPEC, network=TINY, licence="none"))
    truth = draw_people(folder / "clip", "frame", FRAMES, seed=9, figure=ARMS_UP)
    return {"weights": weights, "truth": truth, "clip": folder / "clip" / "images", "known": file}


@pytest.fixture
def project(world: dict[str, Path], tmp_path: Path) -> Iterator[Project]:
    """People with their arms up as a media: predicted wrongly, corrected in some frames."""
    people = read_annotations(world["truth"], world["clip"], SHAPE)
    with Project.create(tmp_path / "clip.poseproj") as made, open_media(world["clip"]) as media:
        number = made.add_media(media.confirm())
        run = made.start_run(number, {}, {"estimator": {"name": "old"}}, range(FRAMES))
        results = [
            FrameResult(
                frame, 0.0, (Pose(p.joints[:, :2] + 9, np.full(17, 0.5, np.float32), p.box, 0.5),), f"{frame:016x}"
            )
            for frame, p in enumerate(people)
        ]
        made.store_results(run, results)
        made.finish_run(run, "done")
        for frame in CORRECTED:
            joints = tuple((float(x), float(y)) for x, y in people[frame].joints[:, :2])
            key = made.people(number, frame)[0].key
            made.apply(edits.ReplacePose(number, frame, person=key, keypoints=joints, visibility=(2,) * 17))
        yield made


def others(world: dict[str, Path], folder: Path) -> Path:
    """The frames that nobody corrected, with the truth."""
    data = json.loads(world["truth"].read_text())
    data["images"] = [image for image in data["images"] if image["id"] - 1 not in CORRECTED]
    kept = {image["id"] for image in data["images"]}
    data["annotations"] = [entry for entry in data["annotations"] if entry["image_id"] in kept]
    (folder / "images").symlink_to(world["clip"])
    file = folder / "others.json"
    file.write_text(json.dumps(data))
    return file


def order_for(world: dict[str, Path], data: str, out: Path, **changes: Any) -> TrainOrder:
    fields: dict[str, Any] = {"start": str(world["weights"]), "steps": 3, "hold_out": ("none",), "precision": "float32"}
    return TrainOrder((data,), str(out), **{**fields, **changes})


def test_the_corrections_come_back_as_a_better_model(
    world: dict[str, Path], project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [(row.frame, row.people[0].pose.keypoints.tobytes()) for row in project.export_rows("corrections")]
    validate = others(world, tmp_path)
    project.close()
    arguments = ["train", str(project.path), "--from", str(world["weights"]), "--out", str(tmp_path / "better")]
    arguments += ["--steps", "160", "--rate", "5e-3", "--hold-out", "none", "--validate", str(validate)]
    assert run_command([*arguments, "--precision", "float32", "--json"]) == 0
    outcome = msgspec.json.decode(capsys.readouterr().out.encode(), type=RetrainOutcome)
    found = outcome.comparison
    assert found is not None
    assert found.people == FRAMES - len(CORRECTED)
    assert found.before.pck is not None
    assert found.after.pck is not None
    assert found.after.pck > found.before.pck + 0.1
    assert found.after.ap > found.before.ap + 0.1
    arms = [joint for joint in found.joints if "wrist" in joint.joint or "elbow" in joint.joint]
    assert all(joint.pck_after > joint.pck_before for joint in arms if joint.pck_before is not None)
    assert [joint.joint for joint in found.joints] == list(SHAPE.joints)
    assert all(first.oks_after <= then.oks_after for first, then in zip(found.worst, found.worst[1:], strict=False))
    assert load_estimator(Path(outcome.weights)).spec == SPEC
    assert read_own(Path(outcome.weights))[0].licence == "none"
    folder = tmp_path / "better"
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.json", "estimator.md", "estimator.safetensors", "held-out_OKS_AP.csv", "held-out_PCK.csv",
        "loss.csv", "snapshot",
    ]  # fmt: skip
    assert "PCK@0.2 by joint" in (folder / "estimator.md").read_text()
    with Project.open(project.path) as again:
        after = [(row.frame, row.people[0].pose.keypoints.tobytes()) for row in again.export_rows("corrections")]
    assert after == before


def test_held_out_frames_are_never_learnt_from(project: Project, tmp_path: Path) -> None:
    taken = drive(take_snapshot(project, tmp_path / "a", HoldOut(last=0.25)))
    parts = {
        name: {image["frame_index"] for image in json.loads((tmp_path / "a" / f"{name}.json").read_text())["images"]}
        for name in ("train", "held", "remember")
    }
    assert parts["train"] == set(CORRECTED[:6])
    assert parts["held"] == set(CORRECTED[6:])
    # What comes after the first held-out frame is not even looked at.
    assert max(parts["remember"]) < CORRECTED[6]
    assert (taken.frames, taken.held_frames) == (6, 2)
    name = Path(project.media_list()[0].path).name
    drive(take_snapshot(project, tmp_path / "b", HoldOut(last=0.0, spans=((name, 2, 5),))))
    kept = json.loads((tmp_path / "b" / "train.json").read_text())["images"]
    assert {image["frame_index"] for image in kept} == {0, 6, 8, 10, 12, 14}
    whole = drive(take_snapshot(project, tmp_path / "c", HoldOut(last=0.0, media=(name,))))
    assert (whole.frames, whole.held_frames, whole.remembered) == (0, len(CORRECTED), 0)
    assert not (tmp_path / "c" / "train.json").exists()


def frames_in(file: Path) -> set[int]:
    return {image["frame_index"] for image in json.loads(file.read_text())["images"]}


def test_a_second_retraining_is_not_measured_on_what_the_first_learnt(
    world: dict[str, Path], project: Project, tmp_path: Path
) -> None:
    project.close()
    first = drive(train_files(order_for(world, str(project.path), tmp_path / "one", hold_out=())))
    held = frames_in(tmp_path / "one" / "snapshot" / "1" / "held.json")
    assert held == set(CORRECTED[6:])
    (mark,) = read_own(Path(first.weights))[0].learnt
    assert dict(read_own(Path(first.weights))[0].learnt) == {mark: tuple((f, f) for f in CORRECTED[:6])}
    assert first.comparison is not None
    assert first.comparison.notes == ()
    # Further corrections before and behind; those that were not learnt yet are held out, wherever they are.
    with Project.open(project.path) as again:
        for frame in (1, 13):
            key = again.people(1, frame)[0].key
            joints = tuple((float(x), float(y)) for x, y in again.people(1, frame)[0].pose.keypoints)
            again.apply(edits.ReplacePose(1, frame, person=key, keypoints=joints, visibility=(2,) * 17))
    order = order_for(world, str(project.path), tmp_path / "two", hold_out=("last:0.4",), start=first.weights)
    second = drive(train_files(order))
    assert frames_in(tmp_path / "two" / "snapshot" / "1" / "held.json") == {1, 12, 13, 14}
    assert frames_in(tmp_path / "two" / "snapshot" / "1" / "train.json") == set(CORRECTED[:6])
    assert second.comparison is not None
    assert second.comparison.notes == ()
    # Where everything was learnt, that is said.
    order = order_for(world, str(project.path), tmp_path / "three", start=second.weights)
    third = drive(train_files(order))
    assert sum(b - a + 1 for a, b in read_own(Path(third.weights))[0].learnt[mark]) == 10
    order = order_for(world, str(project.path), tmp_path / "four", hold_out=("last:0.2",), start=third.weights)
    fourth = drive(train_files(order))
    assert fourth.comparison is not None
    assert [note[:54] for note in fourth.comparison.notes] == ["The starting weights have learnt 2 of the 2 held-out p"]
    # The same by way of a data set: its pictures are known by the media that they came from.
    with Project.open(project.path) as again:
        store_held_out(again, HeldOut())
    drive(export_project(project.path, tmp_path / "data", ExportOptions()))
    order = order_for(world, str(tmp_path / "data"), tmp_path / "five", hold_out=(), start=first.weights)
    fifth = drive(train_files(order))
    assert fifth.comparison is not None
    assert {worst.frame for worst in fifth.comparison.worst} == {13, 14}
    assert fifth.comparison.notes == ()


def test_one_projects_media_may_be_what_the_others_are_measured_on(
    world: dict[str, Path], project: Project, tmp_path: Path
) -> None:
    name = Path(project.media_list()[0].path).name
    project.close()
    with pytest.raises(FormatError, match="nobody with labelled joints to learn from"):
        drive(train_files(order_for(world, str(project.path), tmp_path / "a", hold_out=(name,))))
    with pytest.raises(CallError, match="no media other"):
        drive(train_files(order_for(world, str(project.path), tmp_path / "b", hold_out=("other.mp4",))))
    order = order_for(world, str(project.path), tmp_path / "c", hold_out=(name,))
    order = msgspec.structs.replace(order, data=(*order.data, str(world["known"])))
    outcome = drive(train_files(order))
    assert outcome.comparison is not None
    assert outcome.comparison.people == len(CORRECTED)


def test_a_training_that_was_cut_off_goes_on(world: dict[str, Path], project: Project, tmp_path: Path) -> None:
    drive(take_snapshot(project, tmp_path / "snapshot", HoldOut(last=0.0)))
    straight = drive(train_files(order_for(world, str(tmp_path / "snapshot"), tmp_path / "one", steps=6)))
    job = train_files(order_for(world, str(tmp_path / "snapshot"), tmp_path / "two", steps=6))
    from poseviewer.training import retraining

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "SAVE_SECONDS", 0.0)
        while not isinstance(next(job), Point):
            pass
        job.close()
        assert (tmp_path / "two" / "checkpoint.pt").exists()
        other = order_for(world, str(tmp_path / "snapshot"), tmp_path / "two", steps=6, batch=3)
        with pytest.raises(CallError, match=r"begun with other batch\."):
            drive(train_files(other))
        notes: list[str] = []
        rest = train_files(order_for(world, str(tmp_path / "snapshot"), tmp_path / "two", steps=6))
        try:
            while True:
                event = next(rest)
                notes += [event.text] if isinstance(event, Note) else []
        except StopIteration as end:
            outcome = end.value
    assert any(note.startswith("Going on from step") for note in notes)
    first, second = (read_own(Path(path))[1] for path in (straight.weights, outcome.weights))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(CallError, match="finished training"):
        drive(train_files(order_for(world, str(tmp_path / "snapshot"), tmp_path / "two")))


def cut_off(order: TrainOrder) -> None:
    """Train until there is a checkpoint, and no further."""
    job = train_files(order)
    while not (Path(order.out) / "checkpoint.pt").exists():
        next(job)
    job.close()


def notes_of(order: TrainOrder) -> tuple[list[str], RetrainOutcome]:
    notes: list[str] = []
    job = train_files(order)
    try:
        while True:
            event = next(job)
            notes += [event.text] if isinstance(event, Note) else []
    except StopIteration as end:
        return notes, end.value


def test_a_training_that_goes_on_has_the_corrections_that_it_began_with(
    world: dict[str, Path], project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseviewer.training import retraining

    monkeypatch.setattr(retraining, "SAVE_SECONDS", 0.0)
    order = order_for(world, str(project.path), tmp_path / "two", steps=5, hold_out=())
    project.close()
    straight = drive(train_files(msgspec.structs.replace(order, out=str(tmp_path / "one"))))
    cut_off(order)
    with Project.open(project.path) as again:
        key = again.people(1, 0)[0].key
        joints = tuple((float(x) + 30, float(y)) for x, y in again.people(1, 0)[0].pose.keypoints)
        again.apply(edits.ReplacePose(1, 0, person=key, keypoints=joints, visibility=(2,) * 17))
    # With other frames held out it would be another training.
    with pytest.raises(CallError, match=r"begun with other projects or held-out frames\."):
        drive(train_files(msgspec.structs.replace(order, hold_out=("last:0.5",))))
    notes, outcome = notes_of(order)
    assert any("are those with which the training began" in note for note in notes)
    assert any(note.startswith("Going on from step") for note in notes)
    assert outcome.comparison is not None
    assert straight.comparison is not None
    assert outcome.comparison.before == straight.comparison.before
    first, second = (read_own(Path(path))[1] for path in (straight.weights, outcome.weights))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_older_unfinished_training_goes_on_unless_it_was_another(
    world: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseviewer.training import retraining

    monkeypatch.setattr(retraining, "SAVE_SECONDS", 0.0)
    order = order_for(world, str(world["known"]), tmp_path / "out", steps=4)
    cut_off(order)
    file = tmp_path / "out" / "training.json"
    mark = json.loads(file.read_text())
    assert mark["proposals"] == "noise"
    # As the first version wrote it, and as the one before this.
    first = {name: mark[name] for name in ("weights", "corrected", "remembered", "batch", "seed")}
    second = {**first, "proposals": "noise", "shares": mark["shares"]}
    for old in (first, second):
        file.write_text(json.dumps(old))
        for changes, words in (({"batch": 8}, "batch"), ({"seed": 3}, "seed"), ({"proposals": "fixed"}, "proposals")):
            with pytest.raises(CallError, match=rf"begun with other {words}\."):
                drive(train_files(msgspec.structs.replace(order, **changes)))
        with pytest.raises(CallError, match=r"begun with other people\."):
            drive(train_files(msgspec.structs.replace(order, hold_out=("last:0.5",))))
    file.write_text("{")
    with pytest.raises(CallError, match="not known which training"):
        drive(train_files(order))
    file.write_text(json.dumps({**mark, "keep": 0.5, "objective": "sikr"}))
    with pytest.raises(CallError, match="other objective and weight of the old answers"):
        drive(train_files(order))
    # Two data sets, drawn from by people as long as nobody said otherwise.
    two = [["a.json", 3.0], ["b.json", 9.0]]
    by_people, halves = {"shares": two}, {"shares": [["a.json", 0.5], ["b.json", 0.5]]}
    settle_mark(file, {**mark, **by_people}, by_people, begun=False)
    settle_mark(file, {**mark, "shares": [("./a.json", 0.25), ("./b.json", 0.75)]}, by_people, begun=True)
    for old in (first, {**mark, **by_people}):
        file.write_text(json.dumps(old))
        settle_mark(file, {**mark, **by_people}, by_people, begun=True)
        with pytest.raises(CallError, match=r"begun with other shares\."):
            settle_mark(file, {**mark, **halves}, by_people, begun=True)
    file.write_text(json.dumps(first))
    # It may be prolonged, and go on at another rate.
    notes, outcome = notes_of(msgspec.structs.replace(order, steps=6, rate=1e-4))
    assert any(note.startswith("Going on from step") for note in notes)
    assert load_estimator(Path(outcome.weights)).spec == SPEC


def test_the_curve_of_a_killed_training_is_one_curve_and_its_best_moment_stays(
    world: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseviewer.training import comparison, retraining

    monkeypatch.setattr(retraining, "SAVE_SECONDS", 0.0)
    figures = comparison.Held.figures
    heights = iter([0.1, 0.9, 0.5, 0.6, 0.7, 0.2, 0.2])

    def scored(self: comparison.Held, answers: comparison.Answers) -> Any:
        return msgspec.structs.replace(figures(self, answers), ap=next(heights))

    monkeypatch.setattr(comparison.Held, "figures", scored)
    order = order_for(world, str(world["known"]), tmp_path / "out", steps=8, hold_out=("last:0.3",), keep_best=True)
    job = train_files(order)
    points = (event for event in job if isinstance(event, Point) and event.curve == "held-out OKS AP")
    assert [point.value for point in itertools.islice(points, 3)] == [0.1, 0.9, 0.5]
    job.close()
    best = torch.load(tmp_path / "out" / "best.pt")
    rest = train_files(order)
    told = []
    try:
        while True:
            event = next(rest)
            told += [event.value] if isinstance(event, Point) and event.curve == "held-out OKS AP" else []
            heights = iter([0.6, *[0.2] * 9]) if not told else heights
    except StopIteration as end:
        outcome = end.value
    assert 0.1 not in told
    weights = load_estimator(Path(outcome.weights)).module.state_dict()
    name = next(name for name, value in best.items() if value.ndim == 4)
    assert torch.equal(weights[name], best[name].half().float())
    assert not (tmp_path / "out" / "best.pt").exists()
    for table in ("held-out_OKS_AP.csv", "loss.csv"):
        steps = [int(line.split(",")[1]) for line in (tmp_path / "out" / table).read_text().splitlines()[1:]]
        assert steps == sorted(set(steps))


def test_what_cannot_be_trained_on_is_one_sentence(world: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is not there"):
        drive(train_files(order_for(world, str(tmp_path / "nothing.json"), tmp_path / "out")))
    data = json.loads(world["known"].read_text())
    (tmp_path / "images").symlink_to(world["known"].parent / "images")
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({**data, "annotations": []}))
    with pytest.raises(FormatError, match="nobody with labelled joints"):
        drive(train_files(order_for(world, str(empty), tmp_path / "out")))
    data["images"][0]["file_name"] = "gone.png"
    missing = tmp_path / "missing.json"
    missing.write_text(json.dumps(data))
    with pytest.raises(MediaError, match=r"gone\.png is missing\."):
        drive(train_files(order_for(world, str(missing), tmp_path / "out2")))
    data["images"][1]["file_name"] = "away.png"
    missing.write_text(json.dumps(data))
    with pytest.raises(MediaError, match=r"away\.png is missing, one of 2\."):
        drive(train_files(order_for(world, str(missing), tmp_path / "out2")))
    assert not (tmp_path / "out2").exists()
    with pytest.raises(CallError, match="budget"):
        drive(train_files(order_for(world, str(missing), tmp_path / "out3", steps=0)))


def test_a_training_that_fails_before_its_first_checkpoint_leaves_nothing_behind(
    world: dict[str, Path], project: Project, tmp_path: Path
) -> None:
    drive(take_snapshot(project, tmp_path / "data", HoldOut(last=0.0)))
    damaged = sorted((tmp_path / "data" / "images").iterdir())[-1]
    damaged.write_bytes(b"no picture")
    with pytest.raises(MediaError, match="damaged"):
        drive(train_files(order_for(world, str(tmp_path / "data"), tmp_path / "fresh")))
    assert not (tmp_path / "fresh").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(MediaError, match="damaged"):
        drive(train_files(order_for(world, str(tmp_path / "data"), tmp_path / "mine")))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    # The window's way, with its snapshot made beforehand: the same.
    order = RetrainOrder(tmp_path / "mine", str(tmp_path / "none.safetensors"), 1.0, HoldOut(last=0.0), "cpu")
    with pytest.raises(KnownError, match=r"none\.safetensors"):
        drive(retrain_project(project, order))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_boxes_are_drawn_as_the_detector_errs_and_a_resumed_training_draws_the_same(
    world: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector knows no drawn people, so one that errs in a known way stands in for it."""
    from poseviewer.training import retraining

    file = draw_people(tmp_path / "data", "train", 60, seed=3)
    truth = {person.image: person.box for person in read_annotations(file, tmp_path / "data" / "images", SHAPE)}
    by_pixels = {read_picture(image).tobytes(): box for image, box in truth.items()}
    rng = np.random.default_rng(0)

    def finder(device: str) -> Any:
        def find(picture: Any) -> Any:
            box = by_pixels[picture.tobytes()]
            moved = rng.normal([-0.1, 0.0, 0.2, 0.05], 0.03) * np.tile(box[2:] - box[:2], 2)
            return (box + moved)[None].astype(np.float64)

        return find

    monkeypatch.setattr(retraining, "bundled_finder", finder)
    order = order_for(world, str(file), tmp_path / "one", steps=5, proposals="pgpg")
    straight = drive(train_files(order))
    stored = json.loads((tmp_path / "one" / "proposals.json").read_text())
    assert stored["note"] == "learnt from 60 people that the bundled detector found"
    means = np.average(stored["errors"]["means"], axis=0, weights=stored["errors"]["weights"])
    np.testing.assert_allclose(means, [-0.1, 0.0, 0.2, 0.05], atol=0.02)
    assert "boxes: pgpg" in (tmp_path / "one" / "estimator.md").read_text()
    monkeypatch.setattr(retraining, "SAVE_SECONDS", 0.0)
    order = msgspec.structs.replace(order, out=str(tmp_path / "two"))
    job = train_files(order)
    monkeypatch.setattr(retraining, "found_pairs", asked := Counted(retraining.found_pairs))
    rng = np.random.default_rng(0)
    while not isinstance(next(job), Point):
        pass
    job.close()
    with pytest.raises(CallError, match=r"begun with other proposals\."):
        drive(train_files(msgspec.structs.replace(order, proposals="fixed")))
    resumed = drive(train_files(order))
    assert asked.calls == 1
    first, second = (read_own(Path(path))[1] for path in (straight.weights, resumed.weights))
    assert all(torch.equal(first[name], second[name]) for name in first)
    fixed = drive(train_files(msgspec.structs.replace(order, out=str(tmp_path / "three"), proposals="fixed")))
    other = read_own(Path(fixed.weights))[1]
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_detector_that_finds_nobody_teaches_nothing(world: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"finds only \d+ of the people to learn from"):
        drive(train_files(order_for(world, str(world["known"]), tmp_path / "out", proposals="pgpg")))
    assert not (tmp_path / "out").exists()


def test_data_are_mixed_by_shares_and_parts_are_placed(world: dict[str, Path], tmp_path: Path) -> None:
    faces = json.loads(draw_people(tmp_path / "faces", "train", 6, seed=4).read_text())
    for entry in faces["annotations"]:
        joints = np.array(entry["keypoints"]).reshape(-1, 3)
        joints[5:, 2] = 0
        low, high = joints[:5, :2].min(axis=0) - 1, joints[:5, :2].max(axis=0) + 1
        entry |= {"keypoints": joints.ravel().tolist(), "bbox": [*low, *(high - low)], "num_keypoints": 5}
    file = tmp_path / "faces" / "faces.json"
    file.write_text(json.dumps(faces))
    third = draw_people(tmp_path / "more", "train", 6, seed=6)
    data = (str(world["known"]), str(file), str(third))
    order = msgspec.structs.replace(order_for(world, "", tmp_path / "out", shares=("faces.json=1/2",)), data=data)
    notes, _ = notes_of(order)
    assert any("are placed as they lie in whole people" in note for note in notes)
    card = (tmp_path / "out" / "estimator.md").read_text()
    for share, name, people in ((25, data[0], 12), (50, data[1], 6), (25, data[2], 6)):
        assert f"{share}% of their crops from {name}, {people} people" in card
    assert "face" in json.loads((tmp_path / "out" / "proposals.json").read_text())["parts"]
    # Alone they are taken as they are, which is said.
    alone = train_files(order_for(world, str(file), tmp_path / "alone"))
    assert any(isinstance(event, Note) and "Nobody shows where the parts" in event.text for event in alone)


def test_shares_that_make_no_sense_are_one_sentence() -> None:
    def shares(*words: str) -> list[float]:
        return shares_of(TrainOrder(("a.json", "b/c.json", "d.json"), "out", shares=words), [5, 10, 1])

    assert shares() == [5, 10, 1]
    assert shares("c.json=0.5") == [0.25, 0.5, 0.25]
    assert shares("a.json=1/3", "b/c.json=1/3") == pytest.approx([1 / 3] * 3)
    assert shares("a.json=2", "b/c.json=1", "d.json=0") == [2, 1, 0]
    with pytest.raises(CallError, match=r"nothing is left for d\.json"):
        shares("a.json=0.5", "c.json=0.5")
    for word in ("x=1", "a.json"):
        with pytest.raises(CallError, match="none of the data"):
            shares(word)
    for word in ("a.json=half", "a.json=1/0", "a.json=nan"):
        with pytest.raises(CallError, match="not a share"):
            shares(word)
    with pytest.raises(CallError, match="at least 0"):
        shares("a.json=-1")


class Counted:
    """Counts the calls of a function."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.function(*arguments)


def test_events_travel_as_lines() -> None:
    for event in (Progress(1, 2, "%", 3.0, None, "x"), Note("a", "warning", 3), Point("loss", 0.5, 0.25)):
        assert read_event(event_line(event)) == event
    outcome = RetrainOutcome("w.safetensors", None)
    assert read_event(event_line(outcome)) == outcome
    for line in ("", "noise", "[1]", "{}", '{"event": "Elephant"}', '{"event": "Progress"}'):
        assert read_event(line) is None


def test_the_window_trains_in_a_child_that_can_be_stopped(
    world: dict[str, Path], project: Project, tmp_path: Path
) -> None:
    order = RetrainOrder(tmp_path / "better", str(world["weights"]), 5.0, HoldOut(last=0.25), "cpu")
    curves: set[str] = set()
    job = retrain_project(project, order)
    try:
        while True:
            event = next(job)
            if isinstance(event, Point):
                curves.add(event.curve)
                if event.curve == "loss":
                    ask_to_stop(order.out)
    except StopIteration as end:
        outcome = end.value
    assert {"loss", "held-out OKS AP", "held-out PCK"} <= curves
    assert outcome.comparison is not None
    assert outcome.comparison.people == 2
    assert outcome.comparison.worst[0].frame in CORRECTED[6:]
    assert Path(outcome.weights).exists()


def test_a_pause_costs_nothing_of_the_budget_and_ends_with_a_stop(world: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "better"
    order = order_for(world, str(world["known"]), out, steps=0, minutes=5.0)
    out.mkdir()
    # A training that was killed in a pause does not begin with one.
    (out / "pause").touch()
    job = train_files(order)
    first = next(event for event in job if isinstance(event, Progress) and event.unit == "%")
    began = time.monotonic()
    assert "a second" in first.text
    (out / "pause").touch()
    told = (event for event in job if isinstance(event, Progress))
    waiting = [event for event in itertools.islice(told, 5) if event.text.endswith("crops, paused")]
    assert len(waiting) >= 3
    assert len({(event.seconds, event.seconds_left) for event in waiting}) == 1
    (out / "pause").unlink()
    after = next(event for event in job if isinstance(event, Progress) and "a second" in event.text)
    assert time.monotonic() - began - (after.seconds - first.seconds) > 1.5
    (out / "pause").touch()
    (out / "stop").touch()
    assert not any(isinstance(event, Progress) and "paused" in event.text for event in job)
    assert not (out / "pause").exists()
    assert (out / "estimator.safetensors").exists()


def test_a_cancelled_training_leaves_nothing(world: dict[str, Path], project: Project, tmp_path: Path) -> None:
    order = RetrainOrder(tmp_path / "better", str(world["weights"]), 5.0, HoldOut(last=0.25), "cpu")
    job = retrain_project(project, order)
    while not isinstance(next(job), Progress):
        pass
    assert (order.out / "snapshot").exists()
    job.close()
    assert not order.out.exists()


def test_what_the_child_complains_of_is_the_windows_sentence(tmp_path: Path) -> None:
    from poseviewer.jobs import retrain

    order = RetrainOrder(tmp_path, "nothing.safetensors")
    words = "import sys; sys.stderr.write('poseviewer: The weights are gone.\\n'); sys.exit(1)"
    with pytest.raises(KnownError, match=r"^The weights are gone\.$"):
        drive(retrain._child([sys.executable, "-c", words], order))
