"""How long something takes, in the window's words."""

from __future__ import annotations

from poseviewer.ui.text import tr


def time_left(seconds: float) -> str:
    """Return "2 min 10 s left" in the window's language."""
    whole = max(round(seconds), 0)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return tr("{hours} h {minutes} min left", hours=hours, minutes=minutes)
    if minutes:
        return tr("{minutes} min {seconds} s left", minutes=minutes, seconds=secs)
    return tr("{seconds} s left", seconds=secs)
