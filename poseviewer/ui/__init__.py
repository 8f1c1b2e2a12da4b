"""The window: the only room in which Qt is imported."""
