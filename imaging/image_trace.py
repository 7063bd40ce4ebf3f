"""A trace together with the images it was recorded for, told by their content."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guidance.record import Trace


def fingerprint(images: Tensor) -> str:
    """Digest of an IMAGE (B, H, W, 3): another number anywhere gives another one, wherever the tensor lies."""
    plain = images.detach().float().cpu().contiguous()
    return hashlib.blake2b(
        plain.flatten().view(torch.uint8).numpy().data, digest_size=16
    ).hexdigest()


@dataclass(frozen=True)
class ImageTrace:
    """What was recorded while some images were made, and which images those are.

    Attributes:
        trace: maps and numbers of the run.
        height, width: of the images; of the latents where only those are known.
        content: their fingerprint; None where they were not decoded yet (latents).
        guidance: names of the chain's links.
    """

    trace: Trace
    height: int
    width: int
    content: str | None
    guidance: tuple[str, ...] = ()

    @classmethod
    def of(cls, trace: Trace, images: Tensor, guidance: tuple[str, ...] = ()) -> "ImageTrace":
        """The trace of the run that made an IMAGE (B, H, W, 3)."""
        return cls(trace, images.shape[1], images.shape[2], fingerprint(images), guidance)

    def check(self, images: Tensor) -> None:
        """Raise ValueError when an IMAGE (B, H, W, 3) is not what this run made, to the last number."""
        batch, height, width = images.shape[:3]
        if self.content is None:
            self._check_latents(batch, height, width)
            return
        if (batch, height, width) != (self.trace.batch, self.height, self.width):
            found = (
                f"it was recorded for {self.trace.batch} images of {self.width}x{self.height} pixels, and the"
                f" image holds {batch} of {width}x{height}"
            )
        elif fingerprint(images) != self.content:
            found = "the image has the same size, but was made by another run or changed since"
        else:
            return
        raise ValueError(
            f"this trace belongs to another image: {found}. Connect both outputs of the same AR Decode, with no node"
            " in between"
        )

    def _check_latents(self, batch: int, height: int, width: int) -> None:
        """Of latents, only how many there are and their shape can be compared with images."""
        grown = max(height // self.height, width // self.width)
        fits = (
            abs(grown * self.height - height) <= grown and abs(grown * self.width - width) <= grown
        )
        if batch != self.trace.batch or not fits:
            raise ValueError(
                f"this trace belongs to another image: it was recorded for {self.trace.batch} latents of"
                f" {self.width}x{self.height}, and the image holds {batch} of {width}x{height} pixels. Decode the latents it was"
                " recorded for, all of them and nothing else"
            )

    def __repr__(self) -> str:
        return repr(self.trace)
