"""The codebook every tokenizer with learned codes has, and looking tokens up in it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.operations import Operations, Place

CHUNK = 1024  # positions compared with the codebook at once


class Codebook(nn.Module):
    """V code vectors of E numbers (key `embedding.weight`)."""

    def __init__(self, vocab: int, dim: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.embedding = ops.Embedding(vocab, dim, **place)

    def codebook(self, device: torch.device) -> Tensor:
        """The code vectors (V, E), fp32 on `device`; through the layer, which knows where its weight is."""
        return self.embedding(torch.arange(self.embedding.num_embeddings, device=device)).float()

    def lookup(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Code vectors of tokens (B, h*w), row-major, as a map (B, E, h, w), fp32."""
        codes = F.embedding(tokens, self.codebook(tokens.device))
        return codes.transpose(1, 2).unflatten(2, grid)

    def nearest(self, features: Tensor) -> Tensor:
        """Index of the nearest code (squared Euclidean distance) at every position, (B, E, h, w) -> (B, h*w)."""
        codes = self.codebook(features.device)
        sizes = codes.square().sum(1)  # |x|^2 is the same for every code
        parts = features.flatten(2).transpose(1, 2).split(CHUNK, dim=1)  # (B, T, E)
        return torch.cat([(sizes - 2 * part @ codes.T).argmin(-1) for part in parts], dim=1)
