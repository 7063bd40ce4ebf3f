"""What an artist gives, read and checked: files, classes, prompts, sizes, images and masks."""
