"""The documents say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poseviewer.cli.parser import COMMANDS
from poseviewer.session.actions import ACTIONS
from poseviewer.session.shortcut_table import markdown

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_list_of_shortcuts_is_the_table_of_actions() -> None:
    assert markdown() in (ROOT / "docs" / "shortcuts.md").read_text(encoding="utf-8")


def test_every_key_of_the_readme_is_bound() -> None:
    bound = {key for action in ACTIONS for key in action.keys} | {"Return"}
    bound |= {part for key in bound for part in key.split("+")} | {"Ctrl+Alt", "Enter", "Shift"}
    section = README.split("## Shortcuts")[1].split("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([^`]+)`", table))
    assert len(named) > 30
    assert named <= bound


def test_quick_start_holds_exactly_two_commands() -> None:
    section = README.split("## Quick start")[1].split("\n## ")[0]
    block = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert block is not None
    assert block[1].split("\n")[:-1] == ["packaging/start", "packaging/test"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert command in README


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
