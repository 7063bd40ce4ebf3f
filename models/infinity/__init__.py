"""Infinity (arXiv 2412.04431)."""
