"""Small images of a feature map without its decoder: the linear map that best explains a finished image.

A decoder is expensive (at 256 pixels a tenth of the run and more), and showing every scale would need it K times. But once a
run is finished its feature map and its image are both known, and the colours of a patch are nearly linear in its features:
rgb = f W + b by least squares over all patches, and the same W, b colour the feature maps of the earlier scales.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

RIDGE = (
    1e-3  # of the features' mean square: keeps W small when there are fewer patches than channels
)


def fit_colours(features: Tensor, images: Tensor) -> Tensor:
    """W and b as one matrix (Z + 1, 3): features (B, Z, h, w) and their images (B, H, W, 3) in 0-1."""
    size = features.shape[-2:]
    patches = F.interpolate(images.movedim(-1, 1).float(), size=size, mode="area")
    rows = _with_one(features).flatten(0, 2)
    wanted = patches.movedim(1, -1).flatten(0, 2).to(rows)
    gram = rows.T @ rows
    ridge = RIDGE * gram.diagonal()[:-1].mean().clamp_min(1e-3)
    penalty = torch.full_like(gram.diagonal(), ridge.item())
    penalty[-1] = 0  # the mean colour is free
    return torch.linalg.solve(gram + penalty.diag(), rows.T @ wanted)


def colour(features: Tensor, fitted: Tensor) -> Tensor:
    """Feature maps (B, Z, h, w) -> small images (B, h, w, 3) in 0-1."""
    return (_with_one(features) @ fitted).clamp(0, 1)


def _with_one(features: Tensor) -> Tensor:
    """(B, Z, h, w) -> (B, h, w, Z + 1), the last channel 1."""
    return F.pad(features.movedim(1, -1).float().cpu(), (0, 1), value=1.0)
