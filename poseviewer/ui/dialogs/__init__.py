"""Dialogs: export, shortcuts, settings."""
