"""Pictures: one, a folder of them in natural order, or a glob."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Finding, Frame, MediaInfo, MediaKind, Pixels
from poseviewer.media.base import Media
from poseviewer.media.fingerprint import folder_fingerprint
from poseviewer.media.opencv import cv2

REPORT_S = 0.1
TAIL_BYTES = 4096
PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".jp2"})


def is_picture(path: Path) -> bool:
    """Return whether the file's ending is that of a still picture."""
    return path.suffix.lower() in PICTURE_ENDINGS


def check_name(path: Path) -> None:
    """Refuse a name that is no UTF-8: neither a project nor a JSON file can hold it, and OpenCV crashes on it.

    Raises:
        MediaError: if it is none.
    """
    name = os.fsencode(path)
    try:
        name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MediaError(
            f"The name {name.decode('utf-8', 'backslashreplace')} is not UTF-8 text, so no project can hold it.",
            file=path,
            remedy="Rename the file.",
        ) from error


def natural(paths: list[Path]) -> list[Path]:
    """Return paths in natural order: img2 before img10. Raises as :func:`check_name`."""
    from natsort import natsorted, ns

    for path in paths:
        check_name(path)
    ordered: list[Path] = natsorted(paths, key=str, alg=ns.PATH | ns.IGNORECASE)
    return ordered


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures directly inside ``folder`` in natural order, hidden files left out.

    Raises:
        MediaError: if the folder may not be read or holds no pictures.
    """
    try:
        with os.scandir(folder) as entries:
            found = [
                Path(e.path) for e in entries if not e.name.startswith(".") and is_picture(Path(e.name)) and e.is_file()
            ]
    except PermissionError as error:
        raise MediaError(f"You may not read the folder {folder}.", file=folder) from error
    except OSError as error:
        raise MediaError(f"The folder {folder} cannot be read: {error.strerror}.", file=folder) from error
    if not found:
        raise MediaError(f"The folder {folder} holds no pictures.", file=folder)
    return natural(found)


def pictures_of_glob(pattern: str) -> list[Path]:
    """Return the pictures that match ``pattern`` in natural order.

    Raises:
        MediaError: if none does.
    """
    found = [path for path in map(Path, glob.glob(pattern, recursive=True)) if is_picture(path) and path.is_file()]
    if not found:
        raise MediaError(f"No pictures match {pattern}.", file=pattern)
    return natural(found)


def read_picture(path: Path) -> Pixels:
    """Return a picture as ``(H, W, 3)`` uint8 RGB, turned upright by its EXIF orientation.

    Raises:
        MediaError: naming the file and the cause.
    """
    try:
        if not path.stat().st_size:
            raise MediaError(f"The picture {path.name} is empty (0 bytes).", file=path)
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise MediaError(f"The picture {path} is not there.", file=path) from error
    except OSError as error:
        raise MediaError(f"The picture {path} cannot be read: {error.strerror}.", file=path) from error
    try:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise MediaError(
            f"The picture {path.name} cannot be decoded: it is too large or damaged.", file=path
        ) from error
    if pixels is None:
        raise MediaError(f"The picture {path.name} cannot be decoded: it is damaged or no picture.", file=path)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def is_cut_jpeg(path: Path) -> bool:
    """Return whether a JPEG ends inside its picture: decoders then fill the rest with grey and say nothing."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".jpe"):
        return False
    try:
        with path.open("rb") as stream:
            if not stream.read(2).startswith(b"\xff\xd8"):
                return False
            stream.seek(max(stream.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            tail = stream.read()
        # Most files end with the end of their picture, so the rest need not be read.
        return _ends_in_scan(tail) and _ends_in_scan(path.read_bytes())
    except OSError:
        return False


def _ends_in_scan(data: bytes) -> bool:
    # Entropy-coded data never holds a marker, so an end before the last start of a scan is a thumbnail's.
    return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")


class Pictures(Media):
    """An ordered list of picture files. A file that cannot be decoded fails alone, when it is asked for."""

    def __init__(self, path: str, files: list[Path], kind: MediaKind) -> None:
        """Take ``files`` as the frames.

        Raises:
            MediaError: if none of them can be decoded.
        """
        self._files = files
        self._info = self._describe(path, kind)

    def _describe(self, path: str, kind: MediaKind) -> MediaInfo:
        refused: MediaError | None = None
        for file in self._files:
            try:
                height, width = read_picture(file).shape[:2]
                break
            except MediaError as error:
                refused = refused or error
        else:
            if refused is not None and len(self._files) == 1:
                raise refused
            raise MediaError(f"None of the {len(self._files)} pictures of {path} can be decoded.", file=path)
        try:
            fingerprint = folder_fingerprint(self._files)
        except OSError as error:
            raise MediaError(f"{error.filename} cannot be read: {error.strerror}.", file=error.filename) from error
        return MediaInfo(
            path=path,
            kind=kind,
            frame_count=len(self._files),
            size_wh=(width, height),
            fps=0.0,
            duration_s=0.0,
            codec="",
            rotation=0,
            fingerprint=fingerprint,
            colour="rgb full",
        )

    @property
    def info(self) -> MediaInfo:
        return self._info

    @property
    def files(self) -> tuple[Path, ...]:
        """The picture files, one per frame."""
        return tuple(self._files)

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        return np.zeros(len(self._files))

    def frame(self, index: int) -> Frame:
        self._check(index, len(self._files))
        file = self._files[index]
        pixels = read_picture(file)
        return Frame(index=index, timestamp_s=0.0, pixels=pixels, name=file.name, corrupt=is_cut_jpeg(file))

    def confirm(
        self,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> MediaInfo:
        """Look at head and end of every file and return the info, with those that are damaged among the findings.

        The list of files is settled from the start, so nothing is decoded.
        """
        bad: list[str] = []
        cut: list[str] = []
        last = 0.0
        for done, file in enumerate(self._files):
            if cancelled is not None and cancelled():
                return self._info
            if not cv2.haveImageReader(str(file)):
                bad.append(file.name)
            elif is_cut_jpeg(file):
                cut.append(file.name)
            now = time.monotonic()
            if progress is not None and now - last >= REPORT_S:
                progress(done, len(self._files))
                last = now
        if progress is not None:
            progress(len(self._files), len(self._files))
        findings = [
            Finding("damaged", f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''} {what}.")
            for names, what in ((bad, "cannot be decoded"), (cut, "ends before its picture does"))
            if names
        ]
        self._info = replace(self._info, findings=tuple(findings))
        return self._info

    def reopen(self) -> Media:
        """Return itself: nothing in it changes, so threads may share it."""
        return self

    def close(self) -> None:
        """Do nothing: no file is held open."""
