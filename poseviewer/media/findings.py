"""What is worth knowing about a video, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Finding, MediaInfo
from poseviewer.media.colour import describe, displayed_size, turns
from poseviewer.media.decoder import close_stream, decode, open_stream, read_packets
from poseviewer.media.index import FrameTable, PacketIndex


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
        promised_frames: number of frames by the header, 0 if it says nothing.
        promised_s: seconds by the header, 0 if it says nothing.
        pixel_aspect: width of a pixel divided by its height.
    """

    codec: str
    container: str
    rate: float
    size_wh: tuple[int, int]
    rotation: int
    colour: str
    promised_frames: int
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
        promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        return StreamFacts(
            codec=context.codec.canonical_name if hasattr(context.codec, "canonical_name") else context.name,
            container=container.format.name,
            rate=float(rate) if rate else 25.0,
            size_wh=displayed_size(frame),
            rotation=(turns(frame) * 90 + 180) % 360 - 180,
            colour=describe(frame),
            promised_frames=stream.frames,
            promised_s=promised,
            pixel_aspect=float(aspect) if aspect else 1.0,
        )
    finally:
        close_stream(container, stream)


def describe_video(
    path: Path, shown: str, index: PacketIndex, table: FrameTable, facts: StreamFacts, fingerprint: str
) -> MediaInfo:
    """Return the info of a video with a provisional or confirmed table."""
    times = table.timestamps
    span = float(times[-1]) if len(times) else 0.0
    fps = facts.rate
    if len(times) > 1 and span > 0:
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


def find(index: PacketIndex, table: FrameTable, facts: StreamFacts) -> list[Finding]:
    """Return the findings, the most consequential first."""
    return [*_damage(index, table, facts), *_times(index, table), *_picture(facts)]


def _damage(index: PacketIndex, table: FrameTable, facts: StreamFacts) -> list[Finding]:
    found = []
    corrupt = int(table.corrupt.sum())
    if corrupt or table.errors:
        first = f", the first is frame {int(np.argmax(table.corrupt))}" if corrupt else ""
        found.append(Finding("damaged", f"The file is damaged: {corrupt} frames may show wrong pictures{first}."))
    if 0 < len(index) < facts.promised_frames:
        found.append(
            Finding(
                "truncated", f"The file promises {facts.promised_frames} frames but holds {len(index)}: it is cut off."
            )
        )
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
    tick = float(index.time_base)
    if len(steps) and steps.max() - steps[steps > 0].min(initial=steps.max()) > max(2.1 * tick, 0.0021):
        low, high = steps.min() * 1000, steps.max() * 1000
        found.append(Finding("vfr", f"The frame rate varies: {low:.0f} to {high:.0f} ms between frames."))
    repeated = int((steps == 0).sum())
    if repeated:
        found.append(Finding("duplicate_pts", f"{repeated} frames carry the time stamp of the frame before."))
    return found


def _picture(facts: StreamFacts) -> list[Finding]:
    found = []
    if facts.rotation:
        found.append(Finding("rotated", f"Frames are stored on their side and turned by {facts.rotation} degrees."))
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
