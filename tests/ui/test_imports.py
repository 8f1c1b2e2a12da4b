"""The window is up before the heavy libraries load."""

from __future__ import annotations

import subprocess
import sys

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
