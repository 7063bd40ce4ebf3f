"""Drawing images with the trained pair, through the pack's own loader, loop, guidance and filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.sampling.tokenwise import TokenwiseJob
from ar_guidance.sampling.tokenwise import generate as generate_tokens
from torch import Tensor

from .tokenizer import GRIDS

FILES = {
    "scale": ("emoji_tokenizer.safetensors", "emoji_var.safetensors"),
    "token": ("emoji_vq.safetensors", "emoji_llamagen.safetensors"),
}
GUIDANCES = {"CFG": CFG, "SoftCFG": SoftCFG}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sampling:
    """Guidance scale (1 = none; where the model's schedule grows, that of the last step), the usual filters, the method."""

    scale: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    method: str = "CFG"

    @property
    def guidances(self) -> tuple[Any, ...]:
        """The chain: one guidance."""
        return (GUIDANCES[self.method](self.scale),)

    def drawer(self, seed: int, batch: int, first: int) -> StreamSampler:
        """Draws the tokens of images `first`, `first` + 1, ..."""
        filters = Filters(top_k=self.top_k, top_p=self.top_p)
        return StreamSampler(filters, Streams(seed, batch, first))


def load_pair(folder: Path, kind: str = "scale") -> tuple[Any, Any]:
    """Tokenizer and transformer from the released files, fp32. `kind`: "scale" (VAR) or "token" (LlamaGen)."""
    codec, transformer = FILES[kind]
    return _load(folder / codec, "tokenizer"), _load(folder / transformer, "transformer")


def _load(path: Path, part: str) -> Any:
    found = find_part(read_weights(path), part)
    network = found.family.build(found.config)
    network.load_state_dict(found.tensors, strict=False)
    return network.eval()


def draw(
    pair: tuple[Any, Any], labels: Tensor, how: Sampling, seed: int, batch: int = 50
) -> Tensor:
    """Pictures (B, 3, 64, 64) in [-1, 1] for rows of the class table (B,), in batches."""
    codec, transformer = pair
    features_of = _scale_features if hasattr(transformer.config, "grids") else token_features
    made = []
    with torch.inference_mode():
        for first in range(0, len(labels), batch):
            part = labels[first : first + batch]
            drawer = how.drawer(seed, len(part), first)
            features = features_of(pair, part, Chain(how.guidances), drawer)
            made.append(codec.decode(features))
    return torch.cat(made)


def _scale_features(
    pair: tuple[Any, Any], labels: Tensor, chain: Chain, drawer: StreamSampler
) -> Tensor:
    codec, transformer = pair
    job = ScalewiseJob(
        conditions=(labels, transformer.null_condition(len(labels))),
        batch=len(labels),
        run=RunInfo("scale", transformer.config.grids, published=Schedule("linear ramp")),
        chain=chain,
        draw=drawer,
    )
    return generate(transformer, codec, job, CPU).features


def token_features(
    pair: tuple[Any, Any],
    labels: Tensor,
    chain: Chain,
    drawer: StreamSampler,
    on_step: Callable[[Any], None] = lambda progress: None,
) -> Tensor:
    """Code maps of the token-wise model's images; `on_step` sees the logits of every step."""
    codec, transformer = pair
    job = TokenwiseJob(
        conditions=(labels, transformer.null_condition(len(labels))),
        batch=len(labels),
        run=RunInfo("token", ((1, 1),) * transformer.config.length),
        chain=chain,
        draw=drawer,
    )
    tokens = generate_tokens(transformer, job, CPU, on_step).tokens
    return codec.lookup(tokens, transformer.config.grid)


def reconstruct(codec: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures after the codec, and decoded without quantisation."""
    coded, plain = [], []
    with torch.no_grad():
        for part in pictures.split(64):
            features = codec.encode_features(part)
            if hasattr(codec, "quantise"):
                codes = codec.quantise(features, GRIDS)[1]
            else:  # codes of length 1
                codes = codec.lookup(codec.nearest_code(features), tuple(features.shape[2:]))
                features = torch.nn.functional.normalize(features, dim=1)
            coded.append(codec.decode(codes))
            plain.append(codec.decode(features))
    return torch.cat(coded), torch.cat(plain)


def as_uint8(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) bytes."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
