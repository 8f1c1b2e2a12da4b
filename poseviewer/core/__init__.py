"""Frozen values, geometry, skeletons, known errors, events and resource lookup: numpy and msgspec only."""
