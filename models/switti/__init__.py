"""Switti (arXiv 2412.01819)."""
