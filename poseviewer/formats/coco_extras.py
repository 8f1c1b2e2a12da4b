"""What an imported COCO file says beyond a project's own rows, kept so that an export can say it again.

What concerns one person is kept with that person's correction (``AddPerson.extra``); what concerns images and the
whole file is kept in the project's setting ``coco_extras:<media id>``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from poseviewer.project import Project

Json = dict[str, Any]


class SourcePerson(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file said about one person.

    Attributes:
        id: of the annotation.
        bbox: x, y, width, height as written.
        area: as written.
        iscrowd: 0 or 1.
        keypoints: K times x, y, v in the project's joint order, only where float32 cannot say the same (more digits,
            or coordinates of a joint that is not labelled).
        fields: everything unknown.
    """

    id: int | None = None
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    iscrowd: int = 0
    keypoints: tuple[float, ...] | None = None
    fields: Json = {}


class SourceImage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file said about one image.

    Attributes:
        id, file_name, width, height: as in the file.
        empty: it lists nobody there.
        timestamp_s: of the frame that the image is, in seconds.
        fields: everything unknown.
    """

    id: int
    file_name: str
    width: int | None = None
    height: int | None = None
    empty: bool = False
    timestamp_s: float = 0.0
    fields: Json = {}


class Extras(msgspec.Struct, omit_defaults=True):
    """What files said about one media.

    Attributes:
        images: by frame index as text; those without people too.
        licenses: as in the file.
        category: unknown fields of the person category (supercategory, say).
        info: of the file.
    """

    images: dict[str, SourceImage] = {}
    licenses: list[Json] = []
    category: Json = {}
    info: Json = {}

    def image(self, frame: int) -> SourceImage | None:
        """Return what was said about the image of ``frame``, or None."""
        return self.images.get(str(frame))


def encode_person(person: SourcePerson) -> str:
    """Return the text that travels with a person."""
    return msgspec.json.encode(person).decode()


def decode_person(text: str) -> SourcePerson | None:
    """Return what a text says, or None if it is not ours."""
    try:
        return msgspec.json.decode(text, type=SourcePerson)
    except msgspec.DecodeError:
        return None


def load_extras(project: Project, media: int) -> Extras:
    """Return the record of ``media``; an empty one where nothing was imported (or an unreadable one was stored)."""
    stored: Any = project.setting(f"coco_extras:{media}", None)
    try:
        return msgspec.convert(stored or {}, Extras)
    except msgspec.ValidationError:
        return Extras()


def save_extras(project: Project, media: int, extras: Extras) -> None:
    """Store the record of ``media``."""
    project.set_setting(f"coco_extras:{media}", msgspec.to_builtins(extras))
