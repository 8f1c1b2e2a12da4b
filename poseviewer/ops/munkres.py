"""Optimal assignment with the published grouping's own choice among equally good ones.

The costs of associative embedding are rounded, so ties are the normal case and which of the optimal assignments comes
out decides who gets a joint. This follows the order of search that reference/hrnet_ae_mmpose.md, section 13 gives,
with zeros kept as bits of integers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def assign(cost: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Assign rows to columns at the least total cost.

    Args:
        cost: ``(R, C)``, finite; computed in its own type, as ties are exact comparisons. Missing rows or columns
            count as zeros.

    Returns:
        pairs (row, column) in row order; a row or column that met only a missing one is left out.

    Raises:
        ValueError: a cost is not finite.
    """
    rows, columns = cost.shape
    if not np.isfinite(cost).all():
        raise ValueError("costs must be finite")
    if not rows or not columns:
        return []
    return [(row, column) for row, column in enumerate(_Search(cost).run()[:rows]) if column < columns]


class _Search:
    """Stars (the assignment so far) and primes (what it could change to) on the zeros of a square table."""

    def __init__(self, cost: npt.NDArray[np.floating]) -> None:
        size = max(cost.shape)
        self.size = size
        self.table = np.zeros((size, size), dtype=cost.dtype)
        self.table[: cost.shape[0], : cost.shape[1]] = cost
        self.table -= self.table.min(axis=1, keepdims=True)
        self.star_of_row, self.star_of_column = [-1] * size, [-1] * size
        self._read_zeros()

    def run(self) -> list[int]:
        """The column of every row."""
        starred = 0
        for row, zeros in enumerate(self.zeros):
            free = zeros & ~starred
            if free:
                lowest = free & -free
                starred |= lowest
                self._star(row, lowest.bit_length() - 1)
        for _ in range(self.size - starred.bit_count()):
            self._star_one_more()
        return self.star_of_row

    def _star_one_more(self) -> None:
        covered = [False] * self.size
        open_columns = sum(1 << column for column, row in enumerate(self.star_of_column) if row < 0)
        prime = [-1] * self.size
        start = (0, 0)
        while True:
            found = self._find(start, covered, open_columns)
            if found is None:
                self._adjust(covered, open_columns)
                start = (0, 0)
                continue
            row, column = found
            prime[row] = column
            star = self.star_of_row[row]
            if star < 0:
                self._augment(row, column, prime)
                return
            covered[row] = True
            open_columns |= 1 << star
            start = (row, star)

    def _find(self, start: tuple[int, int], covered: list[bool], open_columns: int) -> tuple[int, int] | None:
        """The first open row from ``start`` with an open zero; in it the last one of the cycle from its column."""
        before = (1 << start[1]) - 1
        for row in (*range(start[0], self.size), *range(start[0])):
            hits = 0 if covered[row] else self.zeros[row] & open_columns
            if hits:
                return row, ((hits & before) or hits).bit_length() - 1
        return None

    def _augment(self, row: int, column: int, prime: list[int]) -> None:
        while True:
            displaced = self.star_of_column[column]
            self._star(row, column)
            if displaced < 0:
                return
            row, column = displaced, prime[displaced]

    def _adjust(self, covered: list[bool], open_columns: int) -> None:
        rows = np.array(covered)[:, None]
        bits = np.frombuffer(open_columns.to_bytes((self.size + 7) // 8, "little"), dtype=np.uint8)
        columns = np.unpackbits(bits, bitorder="little", count=self.size)
        least = np.where(columns > rows, self.table, np.inf).min()
        # In this order also where both apply: the rounding of each step counts; adding zero changes nothing.
        self.table += rows * least
        self.table -= columns * least
        self._read_zeros()

    def _star(self, row: int, column: int) -> None:
        self.star_of_row[row], self.star_of_column[column] = column, row

    def _read_zeros(self) -> None:
        packed = np.packbits(self.table == 0, axis=1, bitorder="little").tobytes()
        step = (self.size + 7) // 8
        self.zeros = [int.from_bytes(packed[at : at + step], "little") for at in range(0, len(packed), step)]
