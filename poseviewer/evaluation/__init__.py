"""How good results are: OKS AP and PCK."""

from poseviewer.evaluation.report import Report

__all__ = ["Report"]
