"""Which image tokenizer this is, told from its weights: tokens mean an image only together with it."""

import hashlib

import torch

from .detect import TokenizerPart

SAMPLES = 64  # numbers read of every tensor: enough to tell two trainings apart, little to read


def fingerprint(part: TokenizerPart) -> str:
    """16 hexadecimal digits from a network's sizes and some of its weights.

    The weights are rounded to half precision first, so that a half-precision copy of a file counts as the same network.
    """
    digest = hashlib.sha256(repr(part.config).encode())
    for key in sorted(part.tensors):
        tensor = part.tensors[key]
        if not tensor.is_floating_point():
            continue
        flat = tensor.flatten()
        count = min(SAMPLES, flat.numel())
        places = torch.arange(count) * (flat.numel() - 1) // max(count - 1, 1)
        digest.update(key.encode())
        digest.update(flat[places].half().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
