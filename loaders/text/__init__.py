"""Text encoders and tokenizers: from their files to token ids and features."""
