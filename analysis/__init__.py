"""What measures guidance and is used by no method. Plain tensors, no host."""
