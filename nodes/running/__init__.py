"""A described run, made: batches in parts, the loops, edits, previews, the viewer, and what is left when it stops."""
