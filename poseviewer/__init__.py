"""PoseViewer: see why a pose pipeline went wrong, put it right, hand the result back to training."""

__version__ = "0.1.0"
