"""Files to exact frames: index, decode, cache, fingerprints."""

from poseviewer.media.base import Media
from poseviewer.media.fingerprint import fingerprint_distance, frame_fingerprint
from poseviewer.media.opening import open_media, probe
from poseviewer.media.server import FrameServer

__all__ = ["FrameServer", "Media", "fingerprint_distance", "frame_fingerprint", "open_media", "probe"]
