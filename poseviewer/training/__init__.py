"""Datasets, augmentation, objectives and the trainer."""
