"""Everything that the program imports is asked for in pyproject.toml, and nothing is asked for in vain."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml", "PySide6": "pyside6-essentials"}
"""Import names that differ from the name of the package that brings them."""
BEHIND_ANOTHER = {"psutil"}
"""ultralytics imports it, and packaging/environment.sh installs ultralytics without its dependencies."""


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("_", "-") for line in lines}


def imported() -> dict[str, str]:
    """Package by the first file that imports it, the standard library left out."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "poseviewer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"poseviewer"}:
                found.setdefault(PACKAGES.get(top, top).lower().replace("_", "-"), path.relative_to(ROOT).as_posix())
    return found


def test_every_import_is_asked_for() -> None:
    asked = declared(*extras())
    strangers = {name: file for name, file in imported().items() if name not in asked}
    assert not strangers


def test_nothing_is_asked_for_in_vain() -> None:
    assert declared() - BEHIND_ANOTHER <= imported().keys()


def extras() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [extra for extra in project["optional-dependencies"] if extra != "test"]
