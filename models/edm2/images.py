"""Between EDM2's units and images: standardised VAE latents, or RGB pixels.

The latent networks work on latents of `stabilityai/sd-vae-ft-mse`, which their authors feed with images in 0-1, not -1 to 1:

    x = 0.5 (raw - m) / s    per channel;    raw: the VAE's own latents, without the usual factor 0.18215
"""

import torch
from torch import Tensor

_MEAN = (5.81, 3.25, 0.12, -2.15)  # m, of the VAE's latents of ImageNet
_DEVIATION = (4.17, 4.62, 3.71, 3.28)  # s
_TARGET = 0.5  # standard deviation the networks were trained for
VAE_FACTOR = 8  # pixels per side of a latent position


def raw_latents(x: Tensor) -> Tensor:
    """The network's latents (B, 4, H, W) -> the VAE's."""
    scale, bias = _standard(x)
    return (x.float() - bias) / scale


def own_latents(raw: Tensor) -> Tensor:
    """The VAE's latents (B, 4, H, W) -> the network's."""
    scale, bias = _standard(raw)
    return raw.float() * scale + bias


def _standard(like: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and bias of the four channels."""
    deviation = torch.tensor(_DEVIATION, dtype=torch.float32, device=like.device).view(-1, 1, 1)
    mean = torch.tensor(_MEAN, dtype=torch.float32, device=like.device).view(-1, 1, 1)
    scale = _TARGET / deviation
    return scale, -mean * scale


def from_vae(image: Tensor) -> Tensor:
    """What a host decoded, as 0-1 of the usual -1 to 1 -> the image in 0-1 that this release's latents mean."""
    return (2 * image - 1).clamp(0, 1)


def from_pixels(x: Tensor) -> Tensor:
    """An RGB network's output (B, 3, H, W) -> 0-1, in the 256 steps that its authors save."""
    return (x * 127.5 + 128).clamp(0, 255).floor() / 255
