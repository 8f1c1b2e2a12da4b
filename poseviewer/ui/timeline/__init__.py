"""The timeline: transport, lanes and the worth-a-look queue."""

from poseviewer.ui.timeline.dock import TimelineDock

__all__ = ["TimelineDock"]
