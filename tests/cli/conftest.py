"""Finds the COCO files, people and the fake pipeline that other tests make."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / room) for room in ("formats", "jobs")]

from fakepipeline import fake_pipeline  # noqa: E402

__all__ = ["fake_pipeline"]
