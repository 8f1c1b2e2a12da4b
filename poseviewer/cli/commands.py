"""One thin function per command: arguments to a job, the job's result to stdout. Heavy imports happen inside."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poseviewer.cli.progress import drive, drive_lines
from poseviewer.core.errors import CallError
from poseviewer.core.words import counted, people

TUNING = (
    "confidence", "iou", "enlargement", "input_size", "scales", "grouping_limit", "reid", "precision", "backend",
    "batch_frames", "batch_people",
)  # fmt: skip
"""Options of predict that are fields of the pipeline's configuration."""


def predict(args: argparse.Namespace) -> int:
    """Run a pipeline over media."""
    from poseviewer.jobs.predicting import PredictOrder, predict_files

    media = [*args.media, *args.alias_media]
    if not media:
        raise CallError("Name at least one MEDIA to predict.", remedy="See poseviewer predict --help.")
    changes = {name: value for name in TUNING if (value := getattr(args, name)) is not None}
    changes["tracker"] = "" if args.tracker == "none" else args.tracker
    order = PredictOrder(
        media=tuple(media),
        out=args.out,
        project=args.project,
        boxes=args.boxes,
        pipeline=args.pipeline,
        detector=args.detector,
        estimator=args.estimator,
        device=args.device,
        frames=args.frames,
        overlay=args.overlay,
        overlay_colours=args.overlay_colours,
        flip=args.flip,
        stn=not args.no_stn,
        nms=not args.no_nms,
        nms_form=args.nms,
        resume=args.resume,
        changes=changes,
    )
    outcome = drive(predict_files(order))
    where = f"{people(outcome.people)} in {counted(outcome.frames, 'frame')}"
    _say(f"{where}, {outcome.seconds:.1f} s on {outcome.device}.")
    if outcome.unreadable:
        _say(f"{counted(outcome.unreadable, 'frame')} could not be read.")
    for path in outcome.written:
        print(path)
    return 0


def frames(args: argparse.Namespace) -> int:
    """Write exact frames."""
    from poseviewer.jobs.frames import extract_frames

    for path in drive(extract_frames(args.media, args.index, args.out)):
        print(path)
    return 0


def probe(args: argparse.Namespace) -> int:
    """Describe a media."""
    from poseviewer.jobs.probe import info_json, info_lines, probe_media

    info = drive(probe_media(args.media))
    _print(info_json(info), info_lines(info), as_json=args.json)
    return 0


def export(args: argparse.Namespace) -> int:
    """Write a data set."""
    from poseviewer.jobs.export import (
        ALPHAPOSE_FORMS,
        AlphaPoseOptions,
        AnyOptions,
        ExportOptions,
        PoseTrackOptions,
        export_project,
    )

    if not 0 <= args.val < 1:
        raise CallError(f"--val is a share between 0 and 1, not {args.val:g}.")
    coco = args.format == "coco"
    if coco:
        options: AnyOptions = ExportOptions(
            include=args.include,
            pictures=args.pictures,
            val_share=args.val,
            overwrite=args.overwrite,
            include_held_out=args.include_held_out,
        )
    elif args.format == "posetrack":
        options = PoseTrackOptions(
            include=args.include, overwrite=args.overwrite, include_held_out=args.include_held_out
        )
    else:
        options = AlphaPoseOptions(
            include=args.include,
            form=ALPHAPOSE_FORMS[args.format],
            overwrite=args.overwrite,
            include_held_out=args.include_held_out,
        )
    report = drive(export_project(args.project, args.out, options), "exporting")
    checked = "no person has joints" if report.ap is None else f"AP against itself {report.ap:.3f}"
    where = f"{people(report.persons)} in {counted(report.images, 'image')}"
    _say(f"{where}, read back and compared{f'; {checked}' if coco else ''}.")
    for name in report.files:
        print(Path(report.folder) / name)
    return 0


def import_file(args: argparse.Namespace) -> int:
    """Take a COCO file or AlphaPose's results into a project."""
    from poseviewer.jobs.importing import import_into
    from poseviewer.jobs.skeletons import named_skeleton

    kit = named_skeleton(args.skeleton) if args.skeleton else None
    report = drive(import_into(args.file, args.images, args.project, kit=kit), "importing")
    _say(f"{people(report.persons)} in {counted(report.images, 'image')} came in as {report.kind}.")
    print(report.project)
    return 0


def train(args: argparse.Namespace) -> int:
    """Retrain on corrections."""
    from poseviewer.jobs.retrain import event_line
    from poseviewer.jobs.train import TrainOrder, outcome_lines, train_files

    order = TrainOrder(
        data=tuple(args.data),
        out=args.out,
        start=args.start,
        minutes=args.minutes or (0.0 if args.steps else 10.0),
        steps=args.steps,
        hold_out=tuple(args.hold_out),
        validate=tuple(args.validate),
        device=args.device,
        precision=args.precision,
        batch=args.batch,
        rate=args.rate,
        objective=args.objective,
        schedule=args.schedule,
        shares=tuple(args.share),
        proposals=args.proposals,
        keep=args.keep,
        keep_best=args.best,
        readers=args.readers,
        tensorboard=args.tensorboard,
        threads=args.threads,
        seed=args.seed,
    )
    # Of several processes the first knows what came of it.
    first = os.environ.get("RANK", "0") == "0"
    if args.events:
        last = event_line(drive_lines(train_files(order), event_line))
        if first:
            print(last, flush=True)
        return 0
    outcome = drive(train_files(order), "training")
    if first:
        _print(outcome, outcome_lines(outcome), as_json=args.json)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Score results."""
    from poseviewer.jobs.evaluate import evaluate_files

    report = drive(evaluate_files(args.truth, args.results))
    _print(report.as_json(), report.lines(), as_json=args.json)
    return 0


def skeletons(args: argparse.Namespace) -> int:
    """List joint sets, or take one in."""
    from poseviewer.core.skeleton import add_own_skeleton
    from poseviewer.jobs.skeletons import list_skeletons

    if args.add:
        print(add_own_skeleton(Path(args.add)))
        return 0
    found = list_skeletons()
    _print(found, found.lines(), as_json=args.json)
    return 0


def doctor(args: argparse.Namespace) -> int:
    """Describe the installation; 1 if something serious is wrong."""
    from poseviewer.jobs.doctor import diagnose

    diagnosis = diagnose()
    _print(diagnosis, diagnosis.lines(), as_json=args.json)
    return int(any(finding.serious for finding in diagnosis.findings))


def demo(args: argparse.Namespace) -> int:
    """Make the demo with all its files; without options this is reached only where no window can open."""
    if not (args.out or args.headless):
        _say("There is no display, so the demo runs without a window.")
    return run_headless_demo(args.out)


def run_headless_demo(out: str | Path | None = None) -> int:
    """Make the demo, its pictures and its COCO data set in ``out`` (./poseviewer-demo by default); say where."""
    from poseviewer.jobs.demo import headless_demo

    made = drive(headless_demo(Path(out) if out else Path("poseviewer-demo")))
    _say("The demo is ready:")
    for what, path in made.files().items():
        _say(f"  {what:<34} {path}")
    _say(f"Where there is a display, open it with: poseviewer {made.project}")
    print(made.folder)
    return 0


def models(args: argparse.Namespace) -> int:
    """Inspect, list, fetch or export weight files."""
    from poseviewer.jobs import models as job

    if args.action == "inspect":
        report = drive(job.inspect_weights(args.file, job.settled_facts(args.set)))
        _print(job.report_json(report), job.report_lines(report), as_json=args.json)
    elif args.action == "list":
        entries = job.list_models()
        _print(job.entries_json(entries), job.list_lines(entries), as_json=args.json)
    elif args.action == "fetch":
        print(drive(job.fetch_model(args.name), "fetching"))
    else:
        done = drive(job.export_onnx(args.file, args.out), "exporting")
        told = "no program to run it is installed, so it was not compared"
        if done.difference is not None:
            told = f"its output differs from torch's by {done.difference:.1e} of the largest value"
        _say(f"Written; {told}.")
        print(done.path)
    return 0


TABLE: dict[str, Callable[[argparse.Namespace], int]] = {
    "predict": predict,
    "frames": frames,
    "probe": probe,
    "export": export,
    "import": import_file,
    "train": train,
    "evaluate": evaluate,
    "skeletons": skeletons,
    "models": models,
    "doctor": doctor,
    "demo": demo,
}


def _print(value: Any, lines: list[str], *, as_json: bool) -> None:
    if as_json:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    else:
        text = "\n".join(lines)
    print(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
