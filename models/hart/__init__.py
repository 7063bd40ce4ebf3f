"""HART (arXiv 2410.10812)."""
