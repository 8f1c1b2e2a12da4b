"""Files to exact frames: index, decode, cache, fingerprints."""
