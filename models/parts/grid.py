"""Rows and columns of tokens."""

Grid = tuple[int, int]
"""(h, w)."""
