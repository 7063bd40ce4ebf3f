"""Sizes and settings of an EDM2 network (arXiv 2312.02696), read from the keys and shapes of its file.

Letters: R side of the latent or image, C channels of its first level, E width of the embedding.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..family import FileFacts

ARGUMENTS = "edm2"  # entry of a file's metadata: the constructor's arguments, as JSON
_CONV = re.compile(r"unet\.enc\.(\d+)x(\d+)_conv\.weight")
_BLOCK = re.compile(r"unet\.enc\.(\d+)x\d+_block(\d+)\.conv_res0\.weight")


@dataclass(frozen=True)
class EDM2Config:
    """One network.

    Attributes:
        resolution: R, the side it was trained at.
        channels: of the latent (4) or image (3).
        classes: length of the label vector; 0 = an unconditional network.
        widths: channels of every level, the finest (R x R) first; each next level has half the side.
        blocks: residual blocks of a level on the way down; one more on the way up.
        attention: sides of the levels with self-attention; both directions.
        embedding: E.
        noise_width: Fourier features of the noise level.
        logvar_width: Fourier features of the uncertainty head, which only training uses.
        head_width: channels of an attention head. It leaves no trace in the shapes.
        label_balance, concat_balance, res_balance, attn_balance: t of the sums, see `blocks.mp_sum`.
        clip: activations are kept within +-clip.
        sigma_data: standard deviation of the training data.
    """

    resolution: int
    channels: int
    classes: int
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    embedding: int
    noise_width: int
    logvar_width: int = 128
    head_width: int = 64
    label_balance: float = 0.5
    concat_balance: float = 0.5
    res_balance: float = 0.3
    attn_balance: float = 0.3
    clip: float = 256.0
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        deepest = self.resolution >> (len(self.widths) - 1)
        if deepest < 1 or deepest << (len(self.widths) - 1) != self.resolution:
            raise ValueError(
                f"a side of {self.resolution} does not halve {len(self.widths) - 1} times"
            )
        for side, width in self.levels.items():
            if (side in self.attention or side == deepest) and width % self.head_width:
                raise ValueError(
                    f"attention at {side}x{side}: {width} channels do not divide into heads of {self.head_width}"
                )

    @property
    def levels(self) -> dict[int, int]:
        """Side -> channels of every level, the finest first."""
        return {self.resolution >> level: width for level, width in enumerate(self.widths)}

    @property
    def divisor(self) -> int:
        """What the sides of a latent must be a multiple of."""
        return 1 << (len(self.widths) - 1)

    @property
    def latent(self) -> bool:
        """Whether it works on a VAE's latents (four channels) instead of RGB pixels."""
        return self.channels == 4


def config_from(facts: FileFacts) -> EDM2Config:
    """The sizes, from keys and shapes; what leaves no trace there, from the constructor's arguments where they are known.

    Raises:
        ValueError: keys and shapes that contradict each other, or arguments this network does not know.
    """
    shapes = facts.shapes
    side, first = _finest(shapes)
    counts, widths, attention = _levels(shapes)
    if list(widths) != [side >> level for level in range(len(widths))]:
        raise ValueError(f"its levels have the sides {', '.join(map(str, widths))}")
    if len(set(counts.values())) != 1:
        raise ValueError("its levels have different numbers of blocks")
    embedding, noise_width = shapes["unet.emb_noise.weight"]
    label = shapes.get("unet.emb_label.weight")
    config = EDM2Config(
        resolution=side,
        channels=first[1] - 1,
        classes=label[1] if label else 0,
        widths=tuple(widths.values()),
        blocks=next(iter(counts.values())),
        attention=attention,
        embedding=embedding,
        noise_width=noise_width,
        logvar_width=shapes.get("logvar_fourier.freqs", (128,))[0],
        **_settings(arguments_of(facts)),
    )
    _check_arguments(config, arguments_of(facts))
    return config


def arguments_of(facts: FileFacts) -> Mapping[str, object]:
    """The constructor's arguments: from the file itself, or the JSON file beside it; {} where neither has any."""
    stored = json.loads(facts.metadata.get(ARGUMENTS, "{}"))
    return stored or facts.own_settings({}, marks=("img_resolution", "channels_per_head"))


def _finest(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, tuple[int, ...]]:
    """Side of the finest level, and the shape of its first convolution."""
    found = [(match, shapes[key]) for key in shapes if (match := _CONV.fullmatch(key))]
    if len(found) != 1 or found[0][0][1] != found[0][0][2]:
        raise ValueError(
            f"its resolution is unknown: it has {len(found)} first convolutions (unet.enc.NxN_conv) instead of one"
        )
    return int(found[0][0][1]), found[0][1]


def _levels(
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[int, int], dict[int, int], tuple[int, ...]]:
    """Side -> blocks, side -> channels, finest first, and the sides with attention."""
    counts: dict[int, int] = {}
    widths: dict[int, int] = {}
    attention: set[int] = set()
    for key in shapes:
        if match := _BLOCK.fullmatch(key):
            side = int(match[1])
            counts[side] = counts.get(side, 0) + 1
            widths[side] = shapes[key][0]
            if key.replace("conv_res0", "attn.qkv") in shapes:
                attention.add(side)
    if not widths:
        raise ValueError("it has no blocks (unet.enc.NxN_block0)")
    finest_first = sorted(widths, reverse=True)
    sides = tuple(side for side in finest_first if side in attention)
    return counts, {side: widths[side] for side in finest_first}, sides


_NAMES = {"channels_per_head": "head_width", "clip_act": "clip"}  # argument -> field


def _settings(arguments: Mapping[str, object]) -> dict[str, Any]:
    """Fields that only the arguments say."""
    free = {f.name for f in fields(EDM2Config)} - {"resolution", "channels", "classes", "attention"}
    named = {_NAMES.get(name, name): value for name, value in arguments.items()}
    allowed = {
        name: value
        for name, value in named.items()
        if name in free and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    resampling = arguments.get("resample_filter", [1, 1])
    if not isinstance(resampling, (list, tuple)) or list(resampling) != [1, 1]:
        raise ValueError(
            f"its resampling filter {resampling} is not [1, 1], the only one this pack has"
        )
    return allowed


def _check_arguments(config: EDM2Config, arguments: Mapping[str, object]) -> None:
    """Raise ValueError when the arguments say another network than the shapes."""
    for name, value in (
        ("img_resolution", config.resolution),
        ("img_channels", config.channels),
        ("label_dim", config.classes),
    ):
        stated = arguments.get(name, value)
        if stated != value:
            raise ValueError(f"its arguments say {name} {stated}, its tensors {value}")
