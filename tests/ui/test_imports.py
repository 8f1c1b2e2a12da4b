"""The window is up before the heavy libraries load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import poseviewer

HEAVY = ("torch", "ultralytics", "scipy", "matplotlib", "pycocotools", "pyqtgraph")


def loaded_after(code: str) -> set[str]:
    """Run ``code`` in a fresh Python and return which heavy libraries it loaded."""
    script = f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:])


def test_importing_the_window_loads_nothing_heavy():
    assert loaded_after("import poseviewer.ui.app") == set()


def test_showing_the_window_loads_nothing_heavy():
    code = """
from PySide6.QtWidgets import QApplication
application = QApplication(["poseviewer"])
from poseviewer.ui.app import destroy, prepare
from poseviewer.ui.window import Window
prepare(application)
window = Window()
window.show()
for _ in range(20):
    application.processEvents()
window.grab()
window.close()
destroy(window)
"""
    assert loaded_after(code) == set()


def test_the_desk_and_its_parts_import_in_one_direction() -> None:
    """Type-checking imports count: a part that needs the whole desk to be understood is no part."""
    root = Path(poseviewer.__file__).parents[1]
    needs: dict[str, set[str]] = {}
    waiting = ["poseviewer.ui.desk"]
    while waiting:
        name = waiting.pop()
        path = root.joinpath(*name.split(".")).with_suffix(".py")
        if name in needs or not name.startswith("poseviewer.ui.") or not path.exists():
            continue
        found: set[str] = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            found |= imported(node)
        needs[name] = found - {name}
        waiting += found
    assert {"poseviewer.ui.hand", "poseviewer.ui.runs", "poseviewer.ui.opener"} <= needs.keys()
    while ready := {name for name, others in needs.items() if not others & needs.keys()}:
        for name in ready:
            del needs[name]
    assert not needs, f"circle among {sorted(needs)}"


def imported(node: ast.stmt) -> set[str]:
    """Return the modules that a top-level statement imports, those for type checking too."""
    if isinstance(node, ast.If):
        return set().union(*(imported(inner) for inner in [*node.body, *node.orelse]))
    if isinstance(node, ast.Import):
        return {name.name for name in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return set()
