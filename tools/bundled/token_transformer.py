"""Training of the token-wise model: a LlamaGen that predicts the drawings' tokens one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig
from ar_guidance.models.parts.attention import Sight
from torch import Tensor, nn

from .checkpoint import load_state
from .data import Drawings
from .groups import ROWS
from .token_codec import CONFIG as CODEC
from .token_codec import GRID
from .transformer import ClassTable, TransformerRecipe, TransformerTraining, export, train

CONFIG = LlamaGenConfig(
    depth=6, width=128, heads=4, vocab=CODEC.vocab, ffn=288, grid=GRID, classes=ROWS - 1
)
STRAY_CHOICES = 6  # a stray token is one of the 2nd to 6th nearest codes
TABLE = "cls_embedding.embedding_table"


@dataclass(frozen=True)
class TokenTransformerRecipe(TransformerRecipe):
    """How long and how fast; the released weights are those of step 6200, by four cosines (see the model card)."""

    steps: int = 6200
    batch: int = 16
    rate: float = 2.5e-3
    dropout: float = 0.05  # little: the held-out loss falls as the training loss does
    report_every: int = 400


@torch.no_grad()
def tokenise(codec: Any, images: Tensor, stray: float, rng: torch.Generator) -> Tensor:
    """(B, 2, T): tokens that were used (a share `stray` is wrong), tokens that would be right."""
    units = F.normalize(codec.encode_features(images).flatten(2).transpose(1, 2), dim=-1)
    near = (units @ codec.quantize.codebook(units.device).T).topk(STRAY_CHOICES)[1]
    pick = torch.randint(1, STRAY_CHOICES, near.shape[:2], generator=rng)
    pick = torch.where(torch.rand(pick.shape, generator=rng) < stray, pick, 0)
    used = near.gather(-1, pick.to(near.device)[..., None])[..., 0]
    return torch.stack([used, near[..., 0]], 1)


def build() -> Any:
    """A fresh network; residual branches start closed."""
    network: Any = LlamaGen(CONFIG)
    network.cls_embedding.embedding_table = ClassTable(CONFIG.width)
    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.dim() == 2:
                p.normal_(std=1 / math.sqrt(p.shape[1]))
            elif "norm" in name:
                p.fill_(1)
            if name.endswith(("wo.weight", "w2.weight")):
                p.mul_(0.1)
        network.tok_embeddings.weight.normal_(std=0.5)
        network.output.weight.normal_(std=0.02)
    return network


class CausalSight(Sight):
    """The family's attention over a whole sequence, in fewer passes over memory."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v (B, H, T, d) -> (B, T, D)."""
        q, k = self.turn(q, self.table), self.turn(k, self.table)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.transpose(1, 2).flatten(2)


class TokenTransformerTraining(TransformerTraining):
    """The state of a run of the token-wise model."""

    config = CONFIG
    name = "token_transformer"
    hidden = "layers"

    def fresh(self) -> Any:
        return build()

    def branches(self) -> list[nn.Module]:
        return [
            p for layer in self.network.layers for p in (layer.attention.wo, layer.feed_forward)
        ]

    def logits(self, network: Any, labels: Tensor, used: Tensor) -> Tensor:
        """As `network(labels, used)`, see `CausalSight`."""
        prefix, _ = network.prefix([labels], used.device)
        x = torch.cat((prefix, network.embed(used[:, :-1])), 1)
        sight = CausalSight(network.rotations()[: x.shape[1]].to(x.device))
        return network.head(network.trunk(x, sight))

    def probe(self) -> Any:
        network: Any = LlamaGen(CONFIG).to(self.device).eval()
        network.load_state_dict(export(self.average.weights, TABLE))
        return network


def train_token_transformer(
    rank: int, drawings: Drawings, codec: Any, tokens: dict[str, Tensor], folder: Path,
    recipe: TokenTransformerRecipe, device: str,
) -> None:  # fmt: skip
    """Run (or go on with) the training; keeps the newest and the best checkpoint."""
    train(TokenTransformerTraining(drawings, codec, tokens, recipe, rank, device), folder)


def trained_token_weights(folder: Path, name: str = "token_transformer.pt") -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, in the family's layout."""
    state = load_state(folder / name)
    if state is None:
        raise FileNotFoundError(f"no {name} in {folder}: train the token-wise transformer first")
    return export(state["average"]["weights"], TABLE)
