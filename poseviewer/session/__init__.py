"""What the desk looks at - Selection, Playhead, Display - and the one table of actions; no Qt."""

from poseviewer.session.state import Display, Playhead, Selection, Session

__all__ = ["Display", "Playhead", "Selection", "Session"]
