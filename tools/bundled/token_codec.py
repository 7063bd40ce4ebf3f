"""Training of the token-wise model's image codec: LlamaGen's VQ layout, one token for 4 x 4 pixels.

The stages are those of `tokenizer.py`; the codes lie on the unit sphere. Where a trained multi-scale
tokenizer lies in the same folder, the layers that both layouts have start from its weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.models.tokenizers.vq16 import VQ16, VQ16Config
from torch import Tensor, nn

from .checkpoint import load_state
from .data import Drawings
from .quantiser import CodebookAverage, kmeans_round
from .tokenizer import TokenizerRecipe, TokenizerTraining, reconstruction_loss, train
from .workers import from_first

SIDE = 16  # tokens a side of the 64 x 64 image
GRID = (SIDE, SIDE)
CONFIG = VQ16Config(
    vocab=512, dim=8, latent=32, channels=16, channel_mult=(1, 2, 4), res_blocks=1, norm_groups=1
)


@dataclass(frozen=True)
class TokenCodecRecipe(TokenizerRecipe):
    """How long and how fast; the defaults are those of the released weights."""

    autoencoder_steps: int = 400
    joint_steps: int = 200
    settle_steps: int = 80
    decoder_steps: int = 0
    rate: float = 3e-3
    noise: float = 0.35
    average: float = 0.997


def points_of(features: Tensor) -> Tensor:
    """Directions (N, E), of length 1, of a feature map (B, E, h, w)."""
    return F.normalize(features.detach().flatten(2).transpose(1, 2).flatten(0, 1), dim=-1)


class SphereCodebook(CodebookAverage):
    """Codes follow the mean direction of what is assigned to them."""

    @torch.no_grad()
    def update(self, tokenizer: Any, features: Tensor, grids: Any = None) -> float:
        """Move the codebook after a training step; returns the share of codes in use."""
        table = tokenizer.quantize.embedding.weight.data
        in_use = self.move(table, points_of(features))
        table.copy_(F.normalize(table, dim=-1))
        return in_use


class TokenCodecTraining(TokenizerTraining):
    """The state of a run of the codec."""

    config = CONFIG
    name = "token_codec"

    @classmethod
    def fresh(cls) -> Any:
        """A network whose new blocks begin as the identity."""
        network = VQ16(cls.config)
        for half in (network.encoder, network.decoder):
            for block in (half.mid[0], half.mid[2]):
                nn.init.zeros_(block.conv2.weight)
            for name, part in half.named_modules():
                if name.endswith("proj_out"):
                    nn.init.zeros_(part.weight)  # type: ignore[arg-type]
        return network

    def warm_start(self, weights: dict[str, Tensor]) -> int:
        """Take what the multi-scale tokenizer has too; returns the number of tensors taken."""
        own, taken = self.network.state_dict(), 0
        for name, value in weights.items():
            name = matching_name(name)
            if name in own and own[name].shape == value.shape:
                own[name].copy_(value)
                taken += 1
        self.average.weights = {k: v.detach().clone() for k, v in own.items()}
        return taken

    def unquantised(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=1)

    def quantised(self, network: Any, features: Tensor) -> Tensor:
        return network.lookup(network.nearest_code(features), GRID)

    @torch.no_grad()
    def start_codebook(self, features: Tensor) -> None:
        """K-means of the directions."""
        points = points_of(features)
        centres = points[torch.randperm(len(points))[: CONFIG.vocab]].clone()
        for _ in range(12):
            centres = F.normalize(kmeans_round(points, centres), dim=-1)
        self.network.quantize.embedding.weight.copy_(centres)
        from_first(self.network.quantize.embedding.weight.data)

    def follow(self, keep: float = 0.99) -> CodebookAverage:
        return SphereCodebook(self.network, keep)

    def noisy(self, features: Tensor) -> Tensor:
        """Directions with noise, a different amount for every image."""
        grown = min(1.0, 0.3 + self.step / (0.5 * self.recipe.autoencoder_steps))
        amount = self.recipe.noise * grown * torch.rand(len(features), 1, 1, 1).to(features)
        units = F.normalize(features, dim=1)
        spread = 1.3 / math.sqrt(features.shape[1])
        return F.normalize(units + amount * spread * torch.randn_like(units), dim=1)

    def loss(self, stage: str, images: Tensor) -> Tensor:
        """Loss of a batch in a stage; moves the codebook on the way."""
        network = self.network
        with torch.set_grad_enabled(stage in ("autoencoder", "joint")):
            features = network.encode_features(images)
        length = (
            0.01 * (features.square().mean() - 1).square()
        )  # holds the norm, which has no effect
        if stage == "autoencoder":
            return reconstruction_loss(network.decode_raw(self.noisy(features)), images) + length
        units, codes = F.normalize(features, dim=1), self.quantised(network, features).detach()
        if self.codebook is not None and stage != "decoder":
            self.in_use = self.codebook.update(network, features, None)  # type: ignore[arg-type]
        commit = self.recipe.commitment * (units - codes).square().sum(1).mean()
        straight = codes + units - units.detach()
        return reconstruction_loss(network.decode_raw(straight), images) + commit + length


def matching_name(name: str) -> str:
    """Key of the multi-scale layout -> key of the layer here that does the same."""
    parts = name.split(".")
    if parts[1] == "down":
        parts[1] = "conv_blocks"
    elif parts[1] == "up":
        parts[1:3] = "conv_blocks", str(len(CONFIG.channel_mult) - 1 - int(parts[2]))
    return ".".join("res" if part == "block" else part for part in parts)


def train_token_codec(
    rank: int, drawings: Drawings, folder: Path, recipe: TokenCodecRecipe, device: str
) -> None:
    """Run (or go on with) the training."""
    run = TokenCodecTraining(drawings, recipe, rank, device)
    relative = load_state(folder / "tokenizer.pt")
    if relative is not None:
        taken = run.warm_start(relative["average"]["weights"])
        if rank == 0:
            print(f"token codec: {taken} tensors start from tokenizer.pt", flush=True)
    train(run, folder, recipe.token_steps)
