"""Finds the COCO files and people that the tests of formats make."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "formats"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from fakepipeline import fake_pipeline

__all__ = ["fake_pipeline"]
