"""What is worth knowing about a video, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Finding, MediaInfo
from poseviewer.media.colour import describe, displayed_size, turns
from poseviewer.media.decoder import close_stream, decode, open_stream, read_packets
from poseviewer.media.index import FrameTable, PacketIndex

GAPS = 2
"""Uneven steps that still count as missing frames, not as a varying rate."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the header and the first frame of a video say.

    Attributes:
        codec: name.
        container: FFmpeg's name of the format, e.g. "mpegts".
        rate: average frames per second that the header promises; 25 if it says nothing.
        size_wh: displayed pixels, after rotation.
        rotation: degrees counter-clockwise that make it stand upright.
        colour: see :func:`poseviewer.media.colour.describe`.
        missing_frames: frames that the header places beyond the end of the file (MP4 only).
        promised_s: when the pictures end by the header (Matroska and AVI), 0 if it says nothing.
        pixel_aspect: width of a pixel divided by its height.
    """

    codec: str
    container: str
    rate: float
    size_wh: tuple[int, int]
    rotation: int
    colour: str
    missing_frames: int
    promised_s: float
    pixel_aspect: float


def facts_of(path: Path) -> StreamFacts:
    """Open a video, decode its first frame and return what both say.

    Raises:
        av.error.FFmpegError: if it cannot be opened.
        MediaError: if it holds no video or not one frame comes out.
    """
    container, stream = open_stream(path, threads=1)
    try:
        frame = None
        context = stream.codec_context
        for packet in read_packets(container, stream):
            frames, _ = decode(context, packet)
            if frames:
                frame = frames[0]
                break
        else:
            frames, _ = decode(context, None)
            frame = frames[0] if frames else None
        if frame is None:
            raise MediaError(f"Not one frame of {path.name} can be decoded: it is cut off or damaged.", file=path)
        rate = stream.average_rate or stream.guessed_rate
        aspect = stream.sample_aspect_ratio
        return StreamFacts(
            codec=context.codec.canonical_name,
            container=container.format.name,
            rate=float(rate) if rate else 25.0,
            size_wh=displayed_size(frame),
            rotation=-90 if turns(frame) == 3 else turns(frame) * 90,
            colour=describe(frame),
            missing_frames=_beyond(stream, path.stat().st_size) if "mp4" in container.format.name else 0,
            promised_s=_promise(container, stream),
            pixel_aspect=float(aspect) if aspect else 1.0,
        )
    finally:
        close_stream(container, stream)


def _beyond(stream: VideoStream, size: int) -> int:
    return sum(entry.pos + entry.size > size for entry in stream.index_entries)


def _promise(container: InputContainer, stream: VideoStream) -> float:
    """Return when the header says that the pictures end, in seconds; 0 where it says nothing that binds."""
    if container.format.name == "avi" and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def describe_video(
    path: Path, shown: str, index: PacketIndex, table: FrameTable, facts: StreamFacts, fingerprint: str
) -> MediaInfo:
    """Return the info of a video with a provisional or confirmed table."""
    times = table.timestamps
    span = float(times[-1]) if len(times) else 0.0
    fps = facts.rate
    if len(times) > 1 and span > 0 and not is_damaged(table):
        measured = (len(times) - 1) / span
        # Matroska rounds stamps to milliseconds, so the header's rate is better where both agree.
        fps = facts.rate if abs(measured - facts.rate) <= 0.05 * measured else measured
    last = int(index.duration[table.ordinals[-1]]) * float(index.time_base) if len(times) else 0.0
    if not 0 < last < 10 or not index.has_stamps:
        last = 1 / fps
    return MediaInfo(
        path=shown,
        kind="video",
        frame_count=len(table),
        size_wh=facts.size_wh,
        fps=fps,
        duration_s=span + last,
        codec=facts.codec,
        rotation=facts.rotation,
        fingerprint=fingerprint,
        findings=tuple(find(index, table, facts)),
        confirmed=table.confirmed,
        colour=facts.colour,
    )


def is_damaged(table: FrameTable) -> bool:
    """Return whether a decoder met damage."""
    return bool(table.errors or table.corrupt.any())


def find(index: PacketIndex, table: FrameTable, facts: StreamFacts) -> list[Finding]:
    """Return the findings, the most consequential first."""
    return [*_damage(index, table, facts), *_times(index, table), *_picture(facts)]


def _damage(index: PacketIndex, table: FrameTable, facts: StreamFacts) -> list[Finding]:
    found = []
    corrupt = int(table.corrupt.sum())
    if is_damaged(table):
        first = f", the first is frame {int(np.argmax(table.corrupt))}" if corrupt else ""
        found.append(Finding("damaged", f"The file is damaged: {corrupt} frames may show wrong pictures{first}."))
    if facts.missing_frames:
        found.append(Finding("truncated", f"The file is cut off: {facts.missing_frames} frames lie beyond its end."))
    elif facts.promised_s and len(table) and index.has_stamps:
        last = float(index.pts.max() * float(index.time_base))
        if facts.promised_s - last > max(1.0, 0.05 * facts.promised_s):
            text = f"The file promises {facts.promised_s:.1f} s but its pictures end at {last:.1f} s: it is cut off."
            found.append(Finding("truncated", text))
    return found


def _times(index: PacketIndex, table: FrameTable) -> list[Finding]:
    found = []
    if index.discard.any():
        count = int(index.discard.sum())
        found.append(Finding("edit_list", f"An edit list hides {count} stored frames; numbers count what is shown."))
    if not index.has_stamps:
        found.append(Finding("no_timestamps", "Frames carry no time stamps; times follow from the frame rate."))
        return found
    start = int(index.pts[table.ordinals].min()) * float(index.time_base) if len(table) else 0.0
    if abs(start) > 0.0005:
        found.append(Finding("start_offset", f"The first frame is stamped {start:.3f} s; times count from it."))
    steps = np.diff(table.timestamps)
    uneven = (
        int((np.abs(steps - np.median(steps)) > max(1.1 * float(index.time_base), 0.0011)).sum()) if len(steps) else 0
    )
    # Frames that a damaged or cut file lost leave gaps; they do not make its rate vary.
    if uneven > max(GAPS, 0.1 * len(steps) if is_damaged(table) else 0):
        low, high = steps.min() * 1000, steps.max() * 1000
        found.append(Finding("vfr", f"The frame rate varies: {low:.0f} to {high:.0f} ms between frames."))
    elif uneven:
        found.append(Finding("gap", f"Frames seem to be missing: the time stamps have {uneven} gaps."))
    repeated = int((steps == 0).sum())
    if repeated:
        found.append(Finding("duplicate_pts", f"{repeated} frames carry the time stamp of the frame before."))
    return found


def _picture(facts: StreamFacts) -> list[Finding]:
    found = []
    if facts.rotation:
        way = {-90: "90 degrees clockwise", 90: "90 degrees counter-clockwise"}.get(facts.rotation, "upside down")
        found.append(Finding("rotated", f"The file says that its frames are to be turned {way}; so they are shown."))
    if facts.colour.endswith("(assumed)"):
        matrix = facts.colour.split()[0].upper().replace("BT", "BT.")
        found.append(Finding("untagged_colour", f"The file does not state its colour matrix; {matrix} is assumed."))
    if abs(facts.pixel_aspect - 1) > 0.01:
        found.append(
            Finding(
                "pixel_aspect", f"Pixels are stored {facts.pixel_aspect:.3f} times as wide as high and shown square."
            )
        )
    return found
