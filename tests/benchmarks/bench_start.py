"""Seconds from starting Python to the window's first paint, beside the same with torch imported first.

xvfb-run -a python tests/benchmarks/bench_start.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

WINDOW = """
import time
from PySide6.QtCore import QTimer
from poseviewer.ui import app
class Timed(app.Window):
    def paintEvent(self, event):
        super().paintEvent(event)
        print(time.time(), flush=True)
        QTimer.singleShot(0, self.close)
app.Window = Timed
app.run_window([])
"""


def seconds(code: str) -> float:
    """Return the seconds from here to the first paint of a fresh Python that runs ``code``."""
    start = time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0]) - start


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    lazy, eager = [], []
    for _ in range(rounds):
        lazy.append(seconds(WINDOW))
        eager.append(seconds("import torch\n" + WINDOW))
    first, second = statistics.median(lazy), statistics.median(eager)
    print(f"window painted after        {first:5.2f} s   (worst {max(lazy):.2f})")
    print(f"with torch imported first   {second:5.2f} s   ratio {second / first:.1f}")


if __name__ == "__main__":
    main()
