"""Reading what a network is made of from the names and shapes of its tensors.

Every family's `sniff` is written with these few questions. The answers come from files that anybody may have
made, so nothing here builds anything and every number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Shapes = Mapping[str, tuple[int, ...]]

# A weight file may not make us build a network that no memory holds.
LARGEST_WIDTH = 8192
MOST_BLOCKS = 128


def size(shapes: Shapes, key: str, axis: int = 0) -> int:
    """The length of one axis of a tensor; 0 where there is no such tensor or axis."""
    shape = shapes.get(key, ())
    return shape[axis] if -len(shape) <= axis < len(shape) else 0


def run_length(shapes: Shapes, before: str, after: str, first: int = 0) -> int:
    """How many of before0after, before1after, .. are there without a gap; at most one more than is allowed.

    Counting begins at the number `first`.
    """
    count = 0
    while count <= MOST_BLOCKS and f"{before}{first + count}{after}" in shapes:
        count += 1
    return count


def sane(widths: Iterable[int], blocks: Iterable[int]) -> bool:
    """Whether a network of these widths and numbers of blocks can be built: none missing, none absurd."""
    counts = tuple(blocks)
    return all(0 < width <= LARGEST_WIDTH for width in widths) and min(counts) > 0 and sum(counts) <= MOST_BLOCKS
