"""AliTok's one-dimensional image tokenizer (arXiv 2506.05289): images <-> a line of tokens and a grid, released layout.

Letters: B images, E codebook channels, V codebook size, T tokens of an image (17 + 16*16), W width, P patch side in pixels.
Both halves are bidirectional transformers. The encoder reads patches and learnt queries and keeps the queries' outputs; the decoder
reads registers and tokens and keeps the outputs of the grid, each of which becomes one patch.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..family import FileFacts, TokenizerFamily
from ..parts.cast import cast_like
from ..parts.grid import Grid
from ..parts.operations import Operations, Place
from ..parts.settings import whole
from ..parts.sizes import check_heads
from .codebook import Codebook
from .shell import OneGrid

HEAD_WIDTH = 64  # of the release, in both halves; the file does not say


@dataclass(frozen=True)
class HalfConfig:
    """Sizes of the encoder or the decoder."""

    width: int
    depth: int
    heads: int
    ffn: int

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


@dataclass(frozen=True)
class AliTok1DConfig:
    """Sizes of a tokenizer."""

    vocab: int
    dim: int
    patch: int
    side: int
    length: int
    registers: int
    encoder: HalfConfig
    decoder: HalfConfig

    @property
    def factor(self) -> int:
        """Image pixels per side of one cell of the grid."""
        return self.patch

    @property
    def held_per_pixel(self) -> float:
        """The stream before and in a block, norms, and twice the hidden width of the feed-forward, of every token; the image is less."""
        tokens = self.side**2 + self.registers
        numbers = tokens * (5 * self.decoder.width + 2 * self.decoder.ffn)
        return max(9.0, numbers / (self.side * self.patch) ** 2)


class Attention(nn.Module):
    """Multi-head self-attention over all positions."""

    def __init__(self, half: HalfConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.heads = half.heads
        self.in_proj = ops.Linear(half.width, 3 * half.width, **place)
        self.out_proj = ops.Linear(half.width, half.width, **place)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.in_proj(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU (exact), linear."""

    def __init__(self, half: HalfConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.c_fc = ops.Linear(half.width, half.ffn, **place)
        self.c_proj = ops.Linear(half.ffn, half.width, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised stream."""

    def __init__(self, half: HalfConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ln_1 = ops.LayerNorm(half.width, **place)
        self.attn = Attention(half, ops, **place)
        self.ln_2 = ops.LayerNorm(half.width, **place)
        self.mlp = FeedForward(half, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Half(nn.Module):
    """What encoder and decoder share: norm, blocks, norm."""

    def __init__(self, half: HalfConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ln_pre = ops.LayerNorm(half.width, **place)
        self.transformer = nn.ModuleList(Block(half, ops, **place) for _ in range(half.depth))
        self.ln_post = ops.LayerNorm(half.width, **place)

    def trunk(self, x: Tensor, keep: int) -> Tensor:
        """(B, N, W) -> the last `keep` positions as a map (B, W, 1, keep)."""
        x = self.ln_pre(x)
        for block in self.transformer:
            x = block(x)
        return self.ln_post(x[:, -keep:]).transpose(1, 2)[:, :, None]


class Encoder(Half):
    """(B, 3, side*P, side*P) in [0, 1] and the queries (T, W) -> (B, E, 1, T)."""

    def __init__(self, config: AliTok1DConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__(config.encoder, ops, **place)
        width, cells = config.encoder.width, config.side**2
        self.positional_embedding = nn.Parameter(torch.empty(cells, width, **place))
        self.latent_token_positional_embedding = nn.Parameter(
            torch.empty(config.length, width, **place)
        )
        self.patch_embed = ops.Conv2d(3, width, config.patch, stride=config.patch, **place)
        self.conv_out = ops.Conv2d(width, config.dim, 1, **place)

    def forward(self, image: Tensor, queries: Tensor) -> Tensor:
        patches = self.patch_embed(image).flatten(2).transpose(1, 2)  # (B, side*side, W)
        patches = patches + cast_like(self.positional_embedding, patches)
        queries = queries + cast_like(self.latent_token_positional_embedding, patches)
        x = torch.cat((patches, queries.expand(len(patches), -1, -1)), dim=1)
        return self.conv_out(self.trunk(x, queries.shape[0]))


class Decoder(Half):
    """Code vectors (B, T, E) -> (B, 3, side*P, side*P) in [0, 1]."""

    def __init__(self, config: AliTok1DConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__(config.decoder, ops, **place)
        width, positions = config.decoder.width, config.registers + config.length
        self.side, self.patch = config.side, config.patch
        self.class_embedding = nn.Parameter(torch.empty(config.registers, width, **place))
        self.latent_token_positional_embedding = nn.Parameter(
            torch.empty(positions, width, **place)
        )
        self.decoder_embed = ops.Linear(config.dim, width, **place)
        # A list of one, because the released keys are `ffn.0.*`.
        self.ffn = nn.Sequential(ops.Conv2d(width, 3 * config.patch**2, 1, **place))
        self.conv_out = ops.Conv2d(3, 3, 1, **place)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.decoder_embed(codes)
        registers = cast_like(self.class_embedding, x).expand(len(x), -1, -1)
        x = torch.cat((registers, x), dim=1)
        x = x + cast_like(self.latent_token_positional_embedding, x)
        cells = self.ffn(self.trunk(x, self.side**2))[:, :, 0]  # (B, P*P*3, side*side)
        return self.conv_out(self._pixels(cells)).sigmoid()

    def _pixels(self, cells: Tensor) -> Tensor:
        """(B, P*P*3, side*side), colour fastest -> (B, 3, side*P, side*P)."""
        side, patch = self.side, self.patch
        parts = cells.reshape(-1, patch, patch, 3, side, side)  # (B, py, px, colour, y, x)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(-1, 3, side * patch, side * patch)


class AliTok1D(OneGrid[AliTok1DConfig]):
    """The released tokenizer layout."""

    def build(self, operations: Operations, **place: Unpack[Place]) -> None:
        config = self.config
        queries = torch.empty(config.length, config.encoder.width, **place)
        self.latent_tokens = nn.Parameter(queries)
        self.encoder = Encoder(config, operations, **place)
        self.decoder = Decoder(config, operations, **place)
        self.quantize = Codebook(config.vocab, config.dim, operations, **place)

    # --- tokens -> image -------------------------------------------------------------------------------------------

    def lookup(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Code vectors of tokens (B, T) as a map (B, E, 1, T), fp32. The line has no grid: `grid` is not used."""
        return self.quantize.lookup(tokens, (1, tokens.shape[1]))

    def decode(self, codes: Tensor, tile: int | None = None) -> Tensor:
        """Code map (B, E, 1, T) -> image (B, 3, side*P, side*P) in [-1, 1], fp32."""
        return self.decode_raw(codes, tile) * 2 - 1

    def decode_raw(self, codes: Tensor, tile: int | None = None) -> Tensor:
        """`decode` in [0, 1], as the network gives it."""
        return self.decoder(codes[:, :, 0].transpose(1, 2).to(self.compute_dtype)).float()

    # --- image -> tokens -------------------------------------------------------------------------------------------

    def encode_features(self, image: Tensor) -> Tensor:
        """Image (B, 3, side*P, side*P) in [-1, 1] -> unquantised features (B, E, 1, T), fp32."""
        image = (image * 0.5 + 0.5).to(self.compute_dtype)
        return self.encoder(image, cast_like(self.latent_tokens, image)).float()


def _half(facts: FileFacts, name: str) -> HalfConfig:
    shapes = facts.shapes
    ffn, width = shapes[f"{name}.transformer.0.mlp.c_fc.weight"]
    start = f"{name}.transformer."
    depth = len({key.split(".")[2] for key in shapes if key.startswith(start)})
    heads = whole(facts.metadata, f"{name}_heads", max(1, width // HEAD_WIDTH), 1, width)
    return HalfConfig(width, depth, heads, ffn)


def config_from_file(facts: FileFacts) -> AliTok1DConfig:
    """Sizes from shapes; head counts from the metadata of our own files, else by the release's rule."""
    shapes = facts.shapes
    vocab, dim = shapes["quantize.embedding.weight"]
    return AliTok1DConfig(
        vocab=vocab,
        dim=dim,
        patch=math.isqrt(shapes["decoder.ffn.0.weight"][0] // 3),
        side=math.isqrt(shapes["encoder.positional_embedding"][0]),
        length=shapes["latent_tokens"][0],
        registers=shapes["decoder.class_embedding"][0],
        encoder=_half(facts, "encoder"),
        decoder=_half(facts, "decoder"),
    )


FAMILY = TokenizerFamily(
    name="alitok_1d",
    title="AliTok image tokenizer",
    required=(
        "latent_tokens",
        "decoder.class_embedding",
        "decoder.ffn.0.weight",
        "encoder.positional_embedding",
        "quantize.embedding.weight",
    ),
    config=config_from_file,
    build=AliTok1D,
)
