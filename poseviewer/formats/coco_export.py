"""Writing a project's people as a COCO data set that has been read back and compared before it appears."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import CallError, FormatError, MediaError
from poseviewer.core.progress import JobEvent, Note, ProgressMeter
from poseviewer.formats.coco_build import (
    IdGiver,
    PictureNames,
    Row,
    Source,
    annotation_entry,
    category_entry,
    image_entry,
    info_entry,
    picture_name,
    shape_of,
    split_media,
    unique_stems,
)
from poseviewer.formats.coco_check import Written, check_part
from poseviewer.formats.coco_extras import decode_person, load_extras
from poseviewer.formats.folders import check_target, disk_errors, replace_folder, temporary_folder
from poseviewer.project import HeldOut, Project, everything_is_held, left_out

Json = dict[str, Any]
Pictures = Callable[[int, int], npt.NDArray[np.uint8]]
PartOf = Callable[[Row], str]
OUR_FOLDERS = {"annotations", "images"}


class ExportOptions(msgspec.Struct, frozen=True):
    """How to export.

    Attributes:
        include: corrections (what a person decided), predictions (what runs found) or all (corrections where there
            are some, else predictions).
        pictures: png or jpg to extract the frames, none to name them only.
        val_share: share of the media that goes to val.json, 0 for one file without a split.
        overwrite: replace an earlier export in the same folder.
        media: ids to export, or None for all.
        include_held_out: treat frames that a retraining held out like all others; otherwise they are left out, or go
            to val.json where there is a split.
        jpeg_quality: 1..100.
    """

    include: Literal["corrections", "predictions", "all"] = "corrections"
    pictures: Literal["png", "jpg", "none"] = "png"
    val_share: float = 0.0
    overwrite: bool = False
    media: tuple[int, ...] | None = None
    include_held_out: bool = False
    jpeg_quality: int = 95


class ExportReport(msgspec.Struct, frozen=True):
    """What an export wrote.

    Attributes:
        folder: that was written.
        files: the annotation files in it.
        images, persons: counts.
        ap: score against itself, None without a person with joints.
        left_out: held-out frames that were not written.
        set_aside: held-out frames that went to val.json.
    """

    folder: str
    files: tuple[str, ...]
    images: int
    persons: int
    ap: float | None
    left_out: int = 0
    set_aside: int = 0

    def held_out_words(self) -> str:
        """One sentence about the held-out frames, "" where there are none."""
        if self.set_aside:
            return f"Held-out frames in val.json: {self.set_aside}."
        return f"Held-out frames left out: {self.left_out}." if self.left_out else ""


def export_coco(
    project: Project,
    folder: str | Path,
    options: ExportOptions,
    *,
    pictures: Pictures | None,
    names: PictureNames | None = None,
) -> Generator[JobEvent, None, ExportReport]:
    """Export ``project`` to ``folder``: ``annotations/person_keypoints[_train|_val].json`` and ``images/``.

    Everything goes to a temporary folder beside ``folder`` first; there it is read back with pycocotools, scored
    against itself and compared number for number, and only then renamed. An earlier export stays untouched until
    that moment. Closing the generator removes what was begun.

    Args:
        project: only read.
        folder: where to.
        options: what and how.
        pictures: returns ``(H, W, 3)`` uint8 RGB pixels of (media id, frame); None only for ``pictures="none"``.
        names: returns the picture's own file name of (media id, frame), "" for video frames.

    Raises:
        CallError: if the folder is taken.
        FormatError: if there is nothing to export, the disk is full, a number is not finite, or the check fails.
    """
    target = Path(folder).absolute()
    check_target(target, OUR_FOLDERS, overwrite=options.overwrite)
    rows = _snapshot(project, options)
    held = left_out(project, include_held_out=options.include_held_out)
    rows, gone = _without_held(project, rows, held, options)
    sources = _sources(project, rows)
    part_of = _parts(rows, sources, held, options)
    with disk_errors(target), temporary_folder(target) as work:
        images = yield from _write_pictures(rows, sources, work, options, pictures, names)
        yield Note("Checking what was written.")
        report = _write_and_check(project, rows, images, sources, part_of, work, options)
        replace_folder(work, target)
    set_aside = sum(held.holds(row.media, row.frame) for row in rows)
    report = msgspec.structs.replace(report, folder=str(target), left_out=gone, set_aside=set_aside)
    if words := report.held_out_words():
        yield Note(words)
    return report


def _without_held(project: Project, rows: list[Row], held: HeldOut, options: ExportOptions) -> tuple[list[Row], int]:
    """The rows to write, and how many held-out ones are left out; with a split none are.

    Raises:
        FormatError: every row is held out.
    """
    kept = [row for row in rows if not held.holds(row.media, row.frame)]
    if not kept:
        raise everything_is_held(project)
    return (rows, 0) if options.val_share > 0 else (kept, len(rows) - len(kept))


def _parts(rows: list[Row], sources: dict[int, Source], held: HeldOut, options: ExportOptions) -> PartOf:
    """Which part a row goes to, "" without a split. Held-out frames go to "val", whatever their media does; where all
    others are of one media, which cannot be split, they are the whole of it."""
    if options.val_share <= 0:
        return lambda row: ""
    left = {row.media for row in rows if not held.holds(row.media, row.frame)}
    others = [source for number, source in sources.items() if number in left]
    some = any(held.holds(row.media, row.frame) for row in rows)
    alone = len({source.info.fingerprint or source.id for source in others}) < 2
    parts = {} if some and alone else split_media(others, options.val_share)
    return lambda row: "val" if held.holds(row.media, row.frame) else parts.get(row.media, "train")


def _snapshot(project: Project, options: ExportOptions) -> list[Row]:
    """Return the rows as they are now; edits that follow while pictures are written do not mix in."""
    rows: list[Row] = []
    for media in options.media if options.media is not None else (None,):
        for found in project.export_rows(options.include, media):
            where = f"frame {found.frame} of media {found.media}"
            said = project.extras(found.media, found.frame)
            people = tuple(
                shape_of(person, where, decode_person(said[person.key]) if person.key in said else None)
                for person in found.people
            )
            rows.append(Row(found.media, found.frame, found.timestamp_s or 0.0, people))
    rows += _imported_empty(project, options, {(row.media, row.frame) for row in rows})
    if not rows:
        what = {"corrections": "corrected", "predictions": "predicted", "all": "predicted or corrected"}
        raise FormatError(
            f"{Path(project.path).name} has no {what[options.include]} frame to export.", file=Path(project.path)
        )
    return sorted(rows, key=lambda row: (row.media, row.frame))


def _imported_empty(project: Project, options: ExportOptions, there: set[tuple[int, int]]) -> list[Row]:
    """Return the frames that an imported file listed without people: nobody there is a statement too."""
    if options.include == "predictions":
        return []
    chosen = [row.id for row in project.media_list() if options.media is None or row.id in options.media]
    return [
        Row(media, int(frame), image.timestamp_s, ())
        for media in chosen
        for frame, image in load_extras(project, media).images.items()
        if image.empty and (media, int(frame)) not in there
    ]


def _sources(project: Project, rows: list[Row]) -> dict[int, Source]:
    used = {row.media for row in rows}
    media = [(row.id, row.info) for row in project.media_list()]
    stems = unique_stems(media)
    return {
        number: Source(number, info, stems[number], load_extras(project, number))
        for number, info in media
        if number in used
    }


def _write_pictures(
    rows: list[Row],
    sources: dict[int, Source],
    work: Path,
    options: ExportOptions,
    pictures: Pictures | None,
    names: PictureNames | None,
) -> Generator[JobEvent, None, list[Written]]:
    """Write the pictures (or only name them) and return one record for each row."""
    meter = ProgressMeter(len(rows), "pictures")
    ids = IdGiver(said.id for row in rows if (said := sources[row.media].extras.image(row.frame)))
    taken: set[str] = set()
    written: list[Written] = []
    if options.pictures != "none":
        (work / "images").mkdir()
    for row in rows:
        source = sources[row.media]
        said = source.extras.image(row.frame)
        own = names(row.media, row.frame) if names else ""
        if options.pictures == "none":
            name = said.file_name if said else own or picture_name(source, row.frame, "", "png")
            size = _size_of(row, source, pictures)
            mark = None
        else:
            name = picture_name(source, row.frame, own, options.pictures)
            if name in taken:
                name = picture_name(source, row.frame, "", options.pictures)
            if pictures is None:
                raise CallError("Pictures can only be extracted where there is something to read them with.")
            pixels = pictures(row.media, row.frame)
            size = (pixels.shape[1], pixels.shape[0])
            mark = _write_picture(work / "images" / name, pixels, options)
        taken.add(name)
        written.append(Written(ids.give(said.id if said else None), name, size, row, mark))
        if event := meter.step(text=name):
            yield event
    return written


def _size_of(row: Row, source: Source, pictures: Pictures | None) -> tuple[int, int]:
    said = source.extras.image(row.frame)
    if said and said.width and said.height:
        return said.width, said.height
    if source.info.kind == "folder" and pictures is not None:
        # References may be exported while the pictures are elsewhere.
        with contextlib.suppress(MediaError):
            height, width = pictures(row.media, row.frame).shape[:2]
            return width, height
    return source.info.size_wh


def _write_picture(path: Path, pixels: npt.NDArray[np.uint8], options: ExportOptions) -> str | None:
    """Write one picture; return a hash of its pixels where the format keeps them (PNG)."""
    import cv2
    import xxhash

    quality = [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality] if options.pictures == "jpg" else []
    done, data = cv2.imencode(f".{options.pictures}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    if not done:
        raise FormatError(f"{path.name} could not be encoded as {options.pictures}.")
    path.write_bytes(data.tobytes())
    return xxhash.xxh3_64_hexdigest(pixels.tobytes()) if options.pictures == "png" else None


def _write_and_check(
    project: Project,
    rows: list[Row],
    images: list[Written],
    sources: dict[int, Source],
    part_of: PartOf,
    work: Path,
    options: ExportOptions,
) -> ExportReport:
    """Write the annotation files, read them back and compare."""
    (work / "annotations").mkdir()
    ids = IdGiver(shape.said.id for row in rows for shape in row.people if shape.said)
    files: list[str] = []
    scores: list[float | None] = []
    for part in sorted({part_of(row) for row in rows}):
        chosen = [image for image in images if part_of(image.row) == part]
        dataset = _dataset(project, chosen, sources, part, options, ids)
        path = work / "annotations" / f"person_keypoints{'_' if part else ''}{part}.json"
        _write_json(path, dataset)
        scores.append(check_part(path, chosen, project.skeleton, work))
        files.append(f"annotations/{path.name}")
    persons = sum(len(row.people) for row in rows)
    counted = [score for score in scores if score is not None]
    return ExportReport(str(work), tuple(files), len(rows), persons, min(counted) if counted else None)


def _dataset(
    project: Project,
    chosen: list[Written],
    sources: dict[int, Source],
    part: str,
    options: ExportOptions,
    ids: IdGiver,
) -> Json:
    used = [sources[number] for number in sorted({image.row.media for image in chosen})]
    kit = project.skeleton
    annotations: list[Json] = []
    for image in chosen:
        for shape in image.row.people:
            number = ids.give(shape.said.id if shape.said else None)
            annotations.append(annotation_entry(number, image.id, shape, image.row))
    category = next((source.extras.category for source in used if source.extras.category), {})
    return {
        "info": info_entry(Path(project.path).stem, options.include, part, used, kit),
        "licenses": _licenses(used),
        "categories": [category_entry(kit, category)],
        "images": [
            image_entry(
                image.id,
                image.name,
                image.size_wh,
                image.row,
                sources[image.row.media],
                sources[image.row.media].extras.image(image.row.frame),
            )
            for image in chosen
        ],
        "annotations": annotations,
    }


def _licenses(sources: list[Source]) -> list[Json]:
    """Return the licences that imported files name, each once."""
    kept: list[Json] = []
    for source in sources:
        kept += [entry for entry in source.extras.licenses if entry not in kept]
    return kept


def _write_json(path: Path, dataset: Json) -> None:
    import orjson

    with path.open("wb") as stream:
        stream.write(orjson.dumps(dataset, option=orjson.OPT_SERIALIZE_NUMPY))
        stream.flush()
        os.fsync(stream.fileno())
