"""OKS AP, PCK and comparisons."""
