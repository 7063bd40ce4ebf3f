"""Training of the bundled emoji model: data, tokenizer, transformer, classifier, evaluation."""
