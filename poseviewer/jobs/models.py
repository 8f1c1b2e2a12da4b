"""What weight files are, the catalogue of published models, fetching one, and writing one as ONNX."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from poseviewer.core.errors import CallError, KnownError, MissingPartError, WeightsError
from poseviewer.core.progress import JobEvent, Note, Progress, ProgressMeter
from poseviewer.nets.catalogue import Entry, by_hand, catalogue, entry, located

if TYPE_CHECKING:
    from poseviewer.nets.checkpoint import Checkpoint
    from poseviewer.nets.onnx_export import Exported

TIMEOUT_S = 30
OFFLINE = ("resolve", "unreachable", "connection", "timed out", "max retries", "proxy")
"""Words in errors of the network."""


def inspect_weights(path: str, settle: dict[str, Any] | None = None) -> Generator[JobEvent, None, Checkpoint]:
    """Say what a weight file is.

    Args:
        path: a file, or the name of a fetched model of the catalogue.
        settle: facts that a person settles; they are remembered beside the file.

    Raises:
        WeightsError: one sentence naming the file and the cause.
    """
    from poseviewer.nets.checkpoint import inspect
    from poseviewer.nets.conventions import remember

    yield Progress(0, 1, "files", text=f"reading {path}")
    file = located(path)
    if settle:
        yield Note(f"Remembered in {remember(file, settle)}.")
    return inspect(file)


def report_json(report: Checkpoint) -> dict[str, Any]:
    """The report as JSON."""
    return {**msgspec.to_builtins(report), "fits": report.fits, "open": list(report.open_facts)}


def report_lines(report: Checkpoint) -> list[str]:
    """The report as lines for a terminal."""
    from poseviewer.nets.checkpoint import first_names, million

    size = f", {report.tensors} tensors, {million(report.parameters)} numbers" if report.tensors else ""
    lines = [f"{report.file}: {report.format}{size}, sha256 {report.sha256[:16]}"]
    if report.wrapper:
        lines.append(f"  taken off   {report.wrapper}")
    if report.spec is None:
        unknown = f"{report.network}, known but not built" if report.network else "none that this program knows"
        lines.append(f"  network     {unknown}")
    else:
        lines += _spec_lines(report)
    for title, names in (
        ("missing", report.missing),
        ("unexpected", report.unexpected),
        ("misshapen", report.misshapen),
    ):
        if names:
            lines.append(f"  {title:<11} {len(names)}: {first_names(names)}")
    if report.open_facts:
        lines.append(f"  open        {', '.join(report.open_facts)}: guessed, as nothing says them; settle with --set")
    return lines + [f"  note        {note}" for note in report.notes]


def report_sentence(report: Checkpoint) -> str:
    """The report in one line, for the window."""
    if report.spec is None:
        return "No pose network that this program knows."
    spec = report.spec
    width, height = spec.input_wh
    joints = spec.skeleton or f"{spec.joints} joints"
    words = f"{report.publisher}: {report.network}, {joints}, {width} x {height}"
    return words if report.fits else f"{words}; it does not fit its network."


def _spec_lines(report: Checkpoint) -> list[str]:
    spec = report.spec
    if spec is None:
        return []
    known = report.known_by

    def line(title: str, value: str, fact: str) -> str:
        source = known.get(fact, known.get("everything", ""))
        return f"  {title:<11} {value}" + (f"  ({source})" if source else "")

    order = "BGR" if spec.bgr else "RGB"
    flip = "shifted" if spec.flip_shift else "not shifted"
    figures = [", ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std)]
    return [
        f"  network     {report.publisher}: {report.network}",
        line("joints", f"{spec.joints}, {spec.skeleton or 'no known set'}", "skeleton"),
        line("input", f"{spec.input_wh[0]} x {spec.input_wh[1]}, crop {spec.crop}", "input_wh"),
        line("colours", f"{order}, mean {figures[0]}, deviation {figures[1]}", "mean"),
        line("answer", f"{spec.output} {spec.heatmap_wh[0]} x {spec.heatmap_wh[1]}, decoding {spec.decode}", "decode"),
        line("flip test", flip, "flip_shift"),
        *_network_lines(report),
        f"  fits        {'yes' if report.fits else 'no'}",
    ]


def _network_lines(report: Checkpoint) -> list[str]:
    """Where SimpleBaseline's blocks stride."""
    source = report.known_by.get("stride_first")
    place = "first 1x1 convolution (Caffe)" if report.stride_first else "3x3 convolution (PyTorch)"
    return [f"  stride      in the {place}  ({source})"] if source else []


def settled_facts(words: list[str]) -> dict[str, Any]:
    """FACT=VALUE from a command line: numbers, several of them with commas, true or false, or a word.

    Raises:
        CallError: a word has no "=".
    """
    facts: dict[str, Any] = {}
    for word in words:
        fact, sign, text = word.partition("=")
        if not sign or not fact or not text:
            raise CallError(f"{word!r} is not FACT=VALUE.", remedy="For instance --set input_wh=192,256.")
        parts = [_value(part.strip()) for part in text.split(",")]
        facts[fact.strip()] = parts if len(parts) > 1 else parts[0]
    return facts


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def entries_json(entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    """The catalogue as JSON, with whether each file is here and where it belongs."""
    return [
        {**msgspec.to_builtins(one), "here": one.here, "path": str(one.path) if one.file else ""} for one in entries
    ]


def list_models() -> tuple[Entry, ...]:
    """The catalogue."""
    return catalogue()


def list_lines(entries: tuple[Entry, ...]) -> list[str]:
    """The catalogue as a table for a terminal."""
    head = ("name", "joints", "input", "AP", "publisher", "licence", "here", "model")
    rows = [
        (
            one.name,
            one.skeleton,
            f"{one.input_wh[0]}x{one.input_wh[1]}",
            "" if one.ap is None else f"{one.ap:.1f}",
            one.publisher,
            one.licence,
            "yes" if one.here else "" if one.url else "by hand",
            one.title,
        )
        for one in entries
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def fetch_model(name: str) -> Generator[JobEvent, None, Path]:
    """Download a model of the catalogue into the user's cache and check it; one that is there is only checked.

    Raises:
        CallError: the catalogue has no such model.
        WeightsError: it cannot be downloaded, or what came is not it; says where to put the file by hand.
        MissingPartError: the downloading library is not installed.
    """
    wanted = entry(name)
    if not wanted.here:
        if not wanted.url:
            raise WeightsError(f"{wanted.publisher} offers {name} only through a page.", remedy=by_hand(wanted))
        yield from _download(wanted)
    _check(wanted)
    return wanted.path


def _check(wanted: Entry) -> None:
    from poseviewer.nets.unpickle import sha256_of

    if wanted.sha256 and not sha256_of(wanted.path).startswith(wanted.sha256):
        raise WeightsError(
            f"{wanted.path} is not the published file: its sha256 does not begin with {wanted.sha256}.",
            file=wanted.path,
            remedy="Delete it and fetch it again.",
        )


class _CancelledError(Exception):
    """The job was closed while the download ran."""


class _Counter:
    """What the downloading library tells its progress to; ends the download once the job is closed."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.closed = threading.Event()

    def update(self, count: int) -> None:
        if self.closed.is_set():
            raise _CancelledError
        self.done += count

    def reset(self) -> None:
        """Called at the end of a download, before the last update."""

    def close(self) -> None:
        """Nothing is kept open."""


def _download(wanted: Entry) -> Generator[JobEvent, None, None]:
    """Through a temporary file beside the place, renamed when it is complete."""
    try:
        import pooch
    except ImportError as error:
        raise MissingPartError("Fetching models needs the package pooch.", remedy=by_hand(wanted)) from error
    counter, ended = _Counter(), queue.SimpleQueue[BaseException | None]()

    def work() -> None:
        try:
            load = pooch.HTTPDownloader(progressbar=counter, timeout=TIMEOUT_S)
            pooch.retrieve(
                wanted.url,
                known_hash=None,
                fname=wanted.file,
                path=wanted.path.parent,
                downloader=load,
                progressbar=False,
            )
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    pooch.get_logger().setLevel("ERROR")
    threading.Thread(target=work, name="poseviewer-fetch", daemon=True).start()
    meter = ProgressMeter(0, "kB")
    try:
        while True:
            try:
                outcome = ended.get(timeout=0.2)
                break
            except queue.Empty:
                meter.total, before = counter.total // 1000, meter.done
                if progress := meter.step(counter.done // 1000 - before, wanted.file):
                    yield progress
    finally:
        counter.closed.set()
    if outcome is not None:
        raise _unfetched(wanted, outcome) from outcome


def _unfetched(wanted: Entry, error: BaseException) -> KnownError:
    wanted.path.unlink(missing_ok=True)
    words = str(error).lower()
    offline = any(
        word in words for word in ("resolve", "unreachable", "connection", "timed out", "max retries", "proxy")
    )
    cause = "this computer seems to be offline" if offline else str(error).split("\n", 1)[0][:200]
    remedy = f"Download {wanted.url} by other means and put it at {wanted.path}."
    return WeightsError(f"{wanted.name} could not be fetched: {cause}.", remedy=remedy)


def export_onnx(path: str, out: str | Path) -> Generator[JobEvent, None, Exported]:
    """Write an estimator as ONNX and compare what both compute.

    Raises:
        WeightsError: the file is no estimator.
        MissingPartError: the ONNX packages are not installed.
    """
    from poseviewer.nets.onnx_export import export
    from poseviewer.nets.weights import load_estimator

    yield Progress(0, 2, "steps", text=f"reading {path}")
    loaded = load_estimator(located(path))
    yield Progress(1, 2, "steps", text=f"writing {out}")
    return export(loaded, Path(out))
