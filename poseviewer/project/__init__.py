"""The project file: schema, rows, edits, journal, undo, integrity."""
