"""Selection, Playhead and Display: frozen values, replaced as a whole and announced by one event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from poseviewer.core.events import Event
from poseviewer.core.values import PICTURE_RATE

ColourBy = Literal["side", "track"]
HeatMap = Literal["inferno", "viridis"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is looked at, shared by every view.

    Attributes:
        media: id in the project, or None while nothing is open.
        frame: 0-based index.
        person: key of a person of that frame, or None.
        joint: 0-based joint index, or None.
        more: joints that are selected beside ``joint``, to be moved and marked together.
    """

    media: int | None = None
    frame: int = 0
    person: str | None = None
    joint: int | None = None
    more: frozenset[int] = frozenset()

    @property
    def joints(self) -> tuple[int, ...]:
        """All selected joints, in the skeleton's order."""
        return () if self.joint is None else tuple(sorted({self.joint, *self.more}))


@dataclass(frozen=True, slots=True)
class Playhead:
    """How time passes.

    Attributes:
        playing: whether frames advance by themselves.
        speed: 1.0 is the media's own speed.
        loop: start again at the end of the range.
        first, last: the chosen range, inclusive frame indices, or None for an open end.
        picture_rate: pictures of a folder in a second at speed 1; they have no time of their own.
    """

    playing: bool = False
    speed: float = 1.0
    loop: bool = False
    first: int | None = None
    last: int | None = None
    picture_rate: float = PICTURE_RATE

    def span(self, frame_count: int) -> tuple[int, int]:
        """Return the first and last frame of the range, clipped to the media."""
        end = max(frame_count - 1, 0)
        first = min(max(self.first or 0, 0), end)
        last = end if self.last is None else min(max(self.last, first), end)
        return first, last


@dataclass(frozen=True, slots=True)
class Display:
    """How things are drawn; never changes what is stored.

    Attributes:
        skeleton, boxes, heat, labels, trails: what is painted over the picture.
        heat_opacity: 0..1.
        heat_map: name of the colour table.
        heat_shared: one scale, 0 to 1, for all maps; otherwise each map has its own ("each").
        half_peak: the line where the map falls to half of its peak.
        tag_map: the joint's tag map over the picture in place of its heatmap, where a bottom-up network has one.
        dim: whether the crop is dimmed beneath the heat.
        crop: outline of the selected person's crop.
        fade: predicted joints of low score are painted faintly.
        colour_by: side of the body, or track.
        brightness: -1..1, added. contrast: 0.2..3, factor around mid-grey.
        snap: a dragged joint holds at heatmap peaks.
        loupe: the loupe stays on screen.
    """

    skeleton: bool = True
    boxes: bool = True
    heat: bool = True
    labels: bool = True
    trails: bool = False
    heat_opacity: float = 0.8
    heat_map: HeatMap = "inferno"
    heat_shared: bool = True
    half_peak: bool = False
    tag_map: bool = False
    dim: bool = True
    crop: bool = True
    fade: bool = True
    colour_by: ColourBy = "side"
    brightness: float = 0.0
    contrast: float = 1.0
    snap: bool = True
    loupe: bool = False


class Session:
    """The three values and the event that tells which of them changed.

    Attributes:
        changed: emitted with a set of "selection", "playhead", "display" after the value was replaced.
    """

    def __init__(self) -> None:
        self._selection = Selection()
        self._playhead = Playhead()
        self._display = Display()
        self.changed: Event[frozenset[str]] = Event()

    @property
    def selection(self) -> Selection:
        """The present selection."""
        return self._selection

    @property
    def playhead(self) -> Playhead:
        """The present playhead."""
        return self._playhead

    @property
    def display(self) -> Display:
        """The present display settings."""
        return self._display

    def select(self, **fields: Any) -> bool:
        """Replace fields of the selection; return whether it changed.

        Another frame or media without a person named keeps the joints but drops the person: keys belong to a frame.
        Another joint, or the same of another person, is selected alone unless ``more`` is named.
        """
        moved = any(name in fields and fields[name] != getattr(self._selection, name) for name in ("media", "frame"))
        if moved and "person" not in fields:
            fields["person"] = None
        joint = fields.get("joint", self._selection.joint)
        whose = fields.get("person", self._selection.person)
        other = joint != self._selection.joint or ("joint" in fields and whose != self._selection.person)
        alone = joint is None or ("more" not in fields and other)
        fields["more"] = frozenset() if alone else frozenset(fields.get("more", self._selection.more)) - {joint}
        return self._replace("selection", fields)

    def play(self, **fields: Any) -> bool:
        """Replace fields of the playhead; return whether it changed."""
        return self._replace("playhead", fields)

    def show(self, **fields: Any) -> bool:
        """Replace fields of the display; return whether it changed."""
        return self._replace("display", fields)

    def _replace(self, name: str, fields: dict[str, Any]) -> bool:
        old = getattr(self, f"_{name}")
        new = replace(old, **fields)
        if new == old:
            return False
        setattr(self, f"_{name}", new)
        self.changed.emit(frozenset({name}))
        return True
