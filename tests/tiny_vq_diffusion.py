"""Tiny VQ-Diffusion networks with random weights, and the published curves of the diffusion."""

import torch
from ar_guidance.models.vq_diffusion.config import VQDiffusionConfig
from ar_guidance.models.vq_diffusion.network import BUFFERS, VQDiffusion
from ar_guidance.models.vq_diffusion.transitions import Transitions


def published(steps: int, vocab: int) -> Transitions:
    """A falls and M rises linearly; fp64, stored in fp32."""
    high, low = 0.99999, 0.000009
    one = torch.ones(1, dtype=torch.float64)
    keep = torch.linspace(high, low, steps, dtype=torch.float64)
    mask = torch.linspace(low, high, steps, dtype=torch.float64)
    before_keep, before_mask = torch.cat((one, keep))[:-1], torch.cat((1 - one, mask))[:-1]
    at, ct = keep / before_keep, 1 - (1 - mask) / (1 - before_mask)
    keep, mask = torch.cat((keep, one)), torch.cat((mask, 1 - one))
    chances = (at, (1 - at - ct) / vocab, ct, keep, (1 - keep - mask) / vocab, mask)
    logs = [chance.log() for chance in chances]
    return Transitions(*(x.float() for x in (*logs, (1 - mask + 1e-40).log())))


def config(**changes: object) -> VQDiffusionConfig:
    """A class model of 4 x 4 tokens and 20 steps."""
    sizes = {"depth": 2, "width": 16, "heads": 2, "ffn": 32, "vocab": 12, "steps": 20}
    given = {**sizes, "grid": (4, 4), "table": (8, 8), "entries": 5, **changes}
    return VQDiffusionConfig(**given)  # type: ignore[arg-type]


def network(sizes: VQDiffusionConfig, seed: int = 0) -> VQDiffusion:
    made = VQDiffusion(sizes).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    curves = published(sizes.steps, sizes.vocab)
    for key, name in BUFFERS.items():
        setattr(made, key, getattr(curves, name))
    return made
