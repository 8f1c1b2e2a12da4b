"""Networks, one file per family, and their weights: sniff, check, load."""
