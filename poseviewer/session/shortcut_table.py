"""The shortcuts as a Markdown table, for the README: ``python -m poseviewer.session.shortcut_table``."""

from __future__ import annotations

from poseviewer.session.actions import PERSONS, shortcut_rows


def markdown() -> str:
    """Return the table of every key and gesture, by group."""
    lines = ["| group | action | keys |", "|---|---|---|"]
    for group, entry in shortcut_rows():
        if entry in PERSONS[1:]:
            continue
        text, keys = entry.text.rstrip("…"), [f"`{key}`" for key in entry.keys]
        if entry == PERSONS[0]:
            text, keys = "Person 1 to 9", ["`1` … `9`"]
        lines.append(f"| {group} | {text} | {', '.join(keys).replace('|', '&#124;')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
