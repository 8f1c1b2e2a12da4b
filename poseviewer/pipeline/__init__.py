"""Detector, estimator, top-down pipeline, evidence and the engine; plain Python, no Qt."""
