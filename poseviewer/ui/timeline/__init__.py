"""Transport and lanes along time."""
