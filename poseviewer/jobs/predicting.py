"""From the command line's order to files: open, predict, write results, draw."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from poseviewer.core.drawing import alphapose_drawing
from poseviewer.core.errors import CallError, FormatError, MediaError
from poseviewer.core.framerange import frame_range_text, parse_frames
from poseviewer.core.progress import JobEvent, Note
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import Frame, FrameResult, MediaInfo
from poseviewer.core.words import counted
from poseviewer.jobs.confirming import confirm
from poseviewer.jobs.continuing import check_same_weights, stopped_run
from poseviewer.jobs.fitting import skeleton_of
from poseviewer.jobs.frames import picture_names
from poseviewer.jobs.overlay import overlay_video
from poseviewer.jobs.predict import Compute, config_of_run, predict
from poseviewer.jobs.results import (
    GivenBoxes,
    ImageKey,
    default_images,
    given_boxes,
    image_rows,
    result_rows,
    write_results,
)
from poseviewer.jobs.sharing import compute_shared, is_first, own_device, serve, sharing
from poseviewer.media import Media, frame_fingerprint, open_media
from poseviewer.pipeline.config import NmsVersion, PipelineConfig, check_config, own_nms, with_own_nms
from poseviewer.project import Project

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks

Json = dict[str, Any]


class PredictOrder(msgspec.Struct, frozen=True):
    """What ``poseviewer predict`` was asked to do; see its help. ``changes`` replaces fields of the pipeline.

    ``nms_form`` is a version of pose NMS, whose numbers follow the estimator; "auto" is the estimator's own.
    """

    media: tuple[str, ...]
    out: str | None = None
    project: str | None = None
    boxes: str | None = None
    pipeline: str = "topdown"
    detector: str = ""
    estimator: str = ""
    device: str = "auto"
    frames: str | None = None
    overlay: str | None = None
    overlay_colours: str = "window"
    flip: bool | None = None
    stn: bool = True
    nms: bool = True
    nms_form: NmsVersion | Literal["auto"] = "auto"
    resume: bool = False
    changes: dict[str, Any] = {}


class PredictOutcome(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        frames, people: in the results, those of a continued run's beginning too.
        seconds: of computing.
        device: where it was computed.
        written: paths of the files.
        unreadable: how many frames had to be left out.
    """

    frames: int
    people: int
    seconds: float
    device: str
    written: tuple[str, ...]
    unreadable: int = 0


class _Collected:
    """Rows and counts over all media of one order."""

    def __init__(self) -> None:
        self.rows: list[Json] = []
        self.images: list[Json] = []
        self.media: list[Json] = []
        self.frames = self.people = self.unreadable = 0
        self.seconds = 0.0
        self.networks: Json = {}

    def next_id(self) -> int:
        """Return the first image id that is free."""
        return max((image["id"] for image in self.images), default=0) + 1


def predict_files(order: PredictOrder) -> Generator[JobEvent, None, PredictOutcome]:
    """Predict media and write what was asked for.

    What was computed before a cancellation or an error is written too: the companion file lists the frames.

    Raises:
        CallError: if the order makes no sense.
        KnownError: as media, weights, pipeline and project raise it.
    """
    with sharing() as shared:
        if shared and not is_first():
            return PredictOutcome(serve(own_device(order.device)), 0, 0.0, order.device, ())
        return (yield from _predict_all(order, compute_shared if shared else None))


def _predict_all(order: PredictOrder, compute: Compute | None) -> Generator[JobEvent, None, PredictOutcome]:
    config = _config(msgspec.structs.replace(order, device=own_device(order.device)) if compute else order)
    _check_order(order)
    _check_media(order)
    from poseviewer.pipeline.loading import load_networks

    networks = load_networks(config)
    config = _with_nms(order, config, networks)
    project = _open_project(order.project, skeleton_of(networks)) if order.project else None
    collected = _Collected()
    written: list[str] = []
    try:
        for path in order.media:
            yield from _predict_one(order, path, config, networks, project, collected, written, compute)
    finally:
        if project is not None:
            written.append(str(project.path))
            project.close()
        if order.out and collected.images:
            info = {"config": msgspec.to_builtins(config), "networks": collected.networks, "media": collected.media}
            written[:0] = [str(name) for name in write_results(order.out, collected.rows, collected.images, info)]
    device = str(collected.networks.get("device", "cpu"))
    return PredictOutcome(
        collected.frames, collected.people, collected.seconds, device, tuple(written), collected.unreadable
    )


def _config(order: PredictOrder) -> PipelineConfig:
    fields = {name: getattr(order, name) for name in ("pipeline", "detector", "estimator", "device", "flip", "stn")}
    try:
        config = msgspec.convert(fields | order.changes, PipelineConfig)
    except msgspec.ValidationError as error:
        raise CallError(f"The pipeline cannot be set so: {error}.") from error
    if not order.nms:
        config = msgspec.structs.replace(config, nms=msgspec.structs.replace(config.nms, enabled=False))
    check_config(config)
    return config


def _with_nms(order: PredictOrder, config: PipelineConfig, networks: Networks) -> PipelineConfig:
    """The pipeline with the numbers of the pose NMS that was asked for, or that belongs to the estimator."""
    joints, decode = networks.joints, networks.spec.decode
    if order.nms_form == "auto" or config.pipeline != "topdown":
        return with_own_nms(config, joints, decode)
    form = own_nms(joints, decode, order.nms_form)
    return msgspec.structs.replace(config, nms=msgspec.structs.replace(form, enabled=order.nms))


def _check_order(order: PredictOrder) -> None:
    """Refuse what would only fail after the computing."""
    if not (order.out or order.project or order.overlay):
        raise CallError("Nothing would be kept.", remedy="Give --out RESULTS.json, --project P or --overlay OUT.mp4.")
    if order.boxes and order.pipeline != "topdown":
        raise CallError("--boxes goes with --pipeline topdown: the other pipelines look at the whole picture.")
    if order.resume and not order.project:
        raise CallError("--resume continues a run of a project.", remedy="Name it with --project P.")
    if order.overlay and len(order.media) > 1:
        raise CallError("--overlay draws one media at a time.")
    if order.overlay and Path(order.overlay).suffix.lower() != ".mp4":
        raise CallError(f"--overlay writes .mp4, not {Path(order.overlay).name}.")
    if order.out and Path(order.out).suffix.lower() != ".json":
        raise CallError(f"--out names a .json file, not {order.out}.")
    for name in (order.out, order.project, order.overlay):
        if not name:
            continue
        path = Path(name)
        if path.is_dir():
            raise CallError(f"{path} is a folder, a file is expected.", file=path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FormatError(f"The folder {path.parent} cannot be made: {error.strerror}.", file=path) from error
        if not os.access(path.parent, os.W_OK):
            raise FormatError(f"Nothing can be written in the folder {path.parent.absolute()}.", file=path)


def _check_media(order: PredictOrder) -> None:
    """Open every media once before networks are loaded, so that a wrong name or number is told at once."""
    meant: dict[int, str] = {}
    for path in order.media:
        with open_media(path) as media:
            if order.boxes:
                given = given_boxes(order.boxes, media.info, picture_names(media))
                _check_meant_once(order.boxes, path, given, meant)
            if order.frames is not None:
                parse_frames(order.frames, media.info.frame_count)


def _check_meant_once(boxes: str, path: str, given: GivenBoxes, meant: dict[int, str]) -> None:
    """Refuse boxes whose images lie in two media: the results could not say which of them an id means."""
    for key in given.images.values():
        if key.id in meant:
            name = Path(boxes).name
            raise CallError(
                f"Image {key.id} of {name} could be of {meant[key.id]} as well as of {path}.",
                file=boxes,
                remedy="Predict them one by one, or let the images say their media.",
            )
        meant[key.id] = path


def _open_project(path: str, kit: Skeleton) -> Project:
    return Project.open(path) if Path(path).exists() else Project.create(path, skeleton=kit)


def _predict_one(
    order: PredictOrder,
    path: str,
    config: PipelineConfig,
    networks: Networks,
    project: Project | None,
    collected: _Collected,
    written: list[str],
    compute: Compute | None = None,
) -> Generator[JobEvent, None, None]:
    with open_media(path) as media:
        info = yield from confirm(media)
        names = picture_names(media)
        given = given_boxes(order.boxes, info, names) if order.boxes else None
        if given and given.sizeless:
            left_out = counted(given.sizeless, "box", "boxes")
            yield Note(f"Left out of {Path(str(order.boxes)).name}: {left_out} without width or height.")
        frames = _frames(order, info, given)
        if given and given.persons:
            # Boxes of annotations are one person each: none of them is a double to be removed.
            config = msgspec.structs.replace(config, nms=msgspec.structs.replace(config.nms, enabled=False))
        media_id = media_in(project, media) if project else 0
        earlier = _Earlier()
        if order.resume and project is not None:
            earlier = yield from _take_up(order, project, media_id, config, networks, frames)
            config, networks, frames = earlier.config or config, earlier.networks or networks, earlier.frames or frames
        images = given.images if given else default_images(info, names, frames, collected.next_id())
        drawing = alphapose_drawing(networks.joints) if order.overlay_colours == "alphapose" else None
        results: list[FrameResult] = []
        source = _Sized(media)
        boxes = given.boxes if given else None
        try:
            report = yield from predict(
                project,
                source,
                media_id,
                frames,
                config,
                networks,
                boxes=boxes,
                into=results,
                continue_run=earlier.run,
                compute=compute,
            )
            collected.seconds += report.seconds
            collected.unreadable += report.unreadable
            if source.corrupt:
                where = f"Frames of {Path(path).name} are damaged, what was found there may be wrong"
                yield Note(f"{where}: {frame_range_text(source.corrupt)}.", "warning")
        finally:
            if project is not None:
                results += _found_before(project, source, media, media_id, earlier)
                results.sort(key=lambda result: result.frame)
            _gather(collected, source, results, images, networks)
        if order.overlay:
            drawn = {result.frame: result.poses for result in results}
            yield from overlay_video(media, drawn, skeleton_of(networks), order.overlay, drawing=drawing)
            written.append(order.overlay)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A run that is taken up again.

    Attributes:
        run: id, or None where there is none and a new one begins.
        config, networks, frames: of that run; frames are ascending.
        done: frames that it finished.
    """

    run: int | None = None
    config: PipelineConfig | None = None
    networks: Networks | None = None
    frames: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


def _take_up(
    order: PredictOrder, project: Project, media: int, config: PipelineConfig, networks: Networks, frames: list[int]
) -> Generator[JobEvent, None, _Earlier]:
    """Find the newest run of a media that stopped before its end, with everything it takes to go on as it began.

    Raises:
        CallError: if it was over other frames than are asked for now, or its weights are not the same any more.
        WeightsError: if its weights cannot be loaded.
    """
    row = stopped_run(project, media)
    if row is None:
        yield Note("No run was stopped before its end, so a new one begins.")
        return _Earlier()
    asked = sorted(project.run_frames(row.id))
    if frames != asked and (order.frames is not None or order.boxes):
        raise CallError(
            f"The run to continue is over the frames {frame_range_text(asked)}, not {frame_range_text(frames)}.",
            remedy="Name those, or leave --resume out.",
        )
    here = {name: getattr(config, name) for name in ("device", "precision", "batch_frames", "batch_people")}
    # Weights may lie elsewhere now; whether they are the same is seen below.
    here |= {name: path for name in ("detector", "estimator") if (path := getattr(order, name))}
    begun = msgspec.structs.replace(config_of_run(row.config), **here)
    if any(getattr(begun, name) != getattr(config, name) for name in ("pipeline", "detector", "estimator")):
        from poseviewer.pipeline.loading import load_networks

        networks = load_networks(begun)
    _same_weights(row.networks, networks, with_detector=not order.boxes and begun.pipeline == "topdown")
    left = set(project.unfinished(row.id))
    yield Note(f"Continuing the run that stopped with {len(left)} of {len(asked)} frames left, with its settings.")
    return _Earlier(row.id, begun, networks, asked, [frame for frame in asked if frame not in left])


def _same_weights(before: Json, networks: Networks, *, with_detector: bool) -> None:
    """Refuse to mix what two sets of weights find in one run."""
    if with_detector:
        # Loaded now, so that the description names it.
        _ = networks.detector
    remedy = "Put that one back, or leave --resume out."
    check_same_weights(before, networks.describe(), with_detector=with_detector, remedy=remedy)


def _found_before(
    project: Project, source: _Sized, media: Media, media_id: int, earlier: _Earlier
) -> list[FrameResult]:
    """Return what a continued run stored for the frames that it finished before."""
    if earlier.run is None:
        return []
    if media.info.kind != "video":
        for frame in earlier.done:
            # Each picture has its own size.
            with contextlib.suppress(MediaError):
                source.frame(frame)
    seconds = media.timestamps
    return [FrameResult(f, float(seconds[f]), project.predictions(media_id, f, earlier.run)) for f in earlier.done]


class _Sized:
    """A media that remembers of the frames that were read which sizes they had (a folder's pictures may differ), and
    which were damaged."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self.sizes: dict[int, tuple[int, int]] = {}
        self.corrupt: set[int] = set()

    @property
    def info(self) -> MediaInfo:
        """What is known about the media."""
        return self._media.info

    def frame(self, index: int) -> Frame:
        """Return one frame."""
        return self._noted(self._media.frame(index))

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield frames."""
        return map(self._noted, self._media.frames(indices))

    def _noted(self, frame: Frame) -> Frame:
        self.sizes[frame.index] = (frame.pixels.shape[1], frame.pixels.shape[0])
        if frame.corrupt:
            self.corrupt.add(frame.index)
        return frame


def _gather(
    collected: _Collected,
    media: _Sized,
    results: list[FrameResult],
    images: dict[int, ImageKey],
    networks: Networks,
) -> None:
    """Turn the results of one media into rows."""
    info = media.info
    collected.rows += result_rows(results, images)
    collected.images += image_rows(info, [(r.frame, r.timestamp_s) for r in results], images, media.sizes)
    collected.media.append({"path": info.path, "fingerprint": info.fingerprint, "frame_count": info.frame_count})
    collected.frames += len(results)
    collected.people += sum(len(result.poses) for result in results)
    collected.networks = networks.describe()


def _frames(order: PredictOrder, info: MediaInfo, given: GivenBoxes | None) -> list[int]:
    # Ascending order decodes fastest.
    every = range(info.frame_count)
    frames = list(every) if order.frames is None else sorted(parse_frames(order.frames, info.frame_count))
    if given is None:
        return frames
    listed = [frame for frame in frames if frame in given.images]
    if not listed:
        raise CallError("None of the frames that were asked for has boxes in the --boxes file.")
    return listed


def media_in(project: Project, media: Media) -> int:
    """Return the id of a media in a project: added, or found again where it has moved or was encoded anew.

    Raises:
        MediaError: if a frame that must be compared cannot be read.
    """
    info = media.info
    match = project.match_media(info, lambda frame: frame_fingerprint(media.frame(frame).pixels))
    if match.media is None:
        return project.add_media(info)
    there = any(row.id == match.media and not row.missing for row in project.media_list())
    if match.by == "frames" or (match.moved and not there):
        # A copy of a file that is still in its place changes nothing.
        project.relink_media(match.media, info.path, info)
    return match.media
