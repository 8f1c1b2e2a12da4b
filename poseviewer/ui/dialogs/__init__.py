"""Dialogs: run panel, export, import, shortcuts, settings, about."""
