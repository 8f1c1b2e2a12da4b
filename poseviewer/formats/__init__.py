"""Foreign annotation files to and from project rows."""
