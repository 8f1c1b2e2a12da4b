"""The use cases, one generator each; the only room that joins pipeline and project."""
