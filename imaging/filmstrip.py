"""The filmstrip of the viewer: every image of a batch, small, with what it shows and the seed that made it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .data_urls import data_urls

SIDE = 128  # pixels a side, at most
MOST = 256  # images; the strip of a larger batch ends there


@dataclass(frozen=True)
class Maker:
    """What made one image of a batch.

    Attributes:
        place: its place in the whole batch, from 0.
        seed: its seed.
        index: which of this seed's images it is, from 0.
        name: the class or prompt it shows; "" where that is not known.
    """

    place: int
    seed: int
    index: int
    name: str = ""


def filmstrip(images: Tensor, makers: Sequence[Maker]) -> list[dict[str, object]]:
    """Images (B, H, W, 3) in 0-1 as JSON: `url`, `place`, `seed`, `index`, `name` of each."""
    urls = data_urls(images[:MOST], SIDE, "jpeg", "jpeg")
    return [
        # a seed has up to 64 bits, more than a browser's numbers: as text
        {"url": url, "place": m.place, "seed": str(m.seed), "index": m.index, "name": m.name}
        for url, m in zip(urls, makers, strict=False)
    ]
