"""Counted things in English sentences."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 frame" or "3 frames".

    Args:
        number: how many.
        one: the noun for one.
        many: the noun for any other number; ``one`` with an s if empty.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def people(number: int) -> str:
    """Return "1 person" or "3 people"."""
    return counted(number, "person", "people")
