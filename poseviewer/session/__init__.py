"""Desk state without Qt: selection, playhead, display, actions, worth-a-look order."""
