"""The published algorithms as batched tensor functions: crops, codecs, suppression, targets."""
