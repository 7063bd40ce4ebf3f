"""Images and everything made of them: tokens, traces, edits, maps, plots, viewer payloads."""
