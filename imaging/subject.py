"""Which part of an image is its subject, told from the image alone."""

import torch
from torch import Tensor

TOLERANCE = 0.12  # colours this near to the border's, in every channel, are background


def subject_from_border(images: Tensor) -> Tensor:
    """True (B, H, W) where an image (B, H, W, 3) differs from the median colour of its border.

    Right for drawings on a plain ground. On photographs the border is a poor guide: give a mask there.
    """
    sides = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    ground = torch.cat(sides, 1).median(1).values  # (B, 3)
    return (images - ground[:, None, None]).abs().amax(-1) > TOLERANCE
