"""Runs described samplings in the host: memory, progress, cancel, preview, rescue."""
