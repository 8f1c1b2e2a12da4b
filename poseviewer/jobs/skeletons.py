"""Joint sets: what there is, and taking the user's own in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from poseviewer.core.errors import KnownError
from poseviewer.core.skeleton import (
    Skeleton,
    bundled_names,
    check_own_skeleton,
    own_skeleton_files,
    own_skeleton_folder,
    read_skeleton,
    skeleton,
    skeleton_names,
)


class SkeletonList(msgspec.Struct, frozen=True):
    """The joint sets of this installation.

    Attributes:
        names: of all that can be used; ``counts`` and ``titles`` belong to them.
        own: which of them are the user's.
        wrong: one sentence for each file of the user's that cannot be used.
        folder: where the user's files are.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    titles: tuple[str, ...]
    own: tuple[str, ...]
    wrong: tuple[str, ...]
    folder: str

    def lines(self) -> list[str]:
        """The list for a terminal."""
        width = max(map(len, self.names))
        rows = [
            f"{name:<{width}}  {count:>4} joints  {title}{'  (yours)' if name in self.own else ''}"
            for name, count, title in zip(self.names, self.counts, self.titles, strict=True)
        ]
        return [*rows, *self.wrong]


def list_skeletons() -> SkeletonList:
    """Return what there is; a wrong file of the user's is named, not fatal."""
    kits = [skeleton(name) for name in skeleton_names()]
    wrong = []
    for path in own_skeleton_files():
        try:
            check_own_skeleton(path)
        except KnownError as error:
            wrong.append(error.sentence)
    return SkeletonList(
        tuple(kit.name for kit in kits),
        tuple(kit.count for kit in kits),
        tuple(kit.title for kit in kits),
        tuple(kit.name for kit in kits if kit.name not in bundled_names()),
        tuple(wrong),
        str(own_skeleton_folder()),
    )


def named_skeleton(name: str) -> Skeleton:
    """Return the skeleton of a name, or of a file where ``name`` ends in .json.

    Raises:
        MissingPartError, FormatError: if there is none, or its file is wrong.
    """
    return read_skeleton(Path(name)) if name.endswith(".json") else skeleton(name)
