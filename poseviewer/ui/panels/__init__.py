"""Docks that each answer one question."""
