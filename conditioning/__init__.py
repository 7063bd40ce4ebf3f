"""What to generate, as a run takes it: classes, encoded text, text a model reads itself. No host."""
