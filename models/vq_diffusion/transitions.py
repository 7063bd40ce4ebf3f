"""The diffusion of VQ-Diffusion (arXiv 2111.14822): tokens are kept, exchanged or masked, and the posterior of one step back.

Letters: B images, N positions, V tokens without the mask, whose number is V; T steps, t = T-1 (noisiest) to 0. A_t, B_t, M_t:
chances that a token is still itself, that it has become any one other, that it is masked after step t; a, b, c: of one
step alone. Index -1 is "before step 0": A = 1, B = M = 0.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST = -70.0  # log-probabilities are clamped there
TINY = math.log(1e-30)  # of what cannot be


@dataclass(frozen=True)
class Transitions:
    """Logarithms of the chances, fp32: `at`, `bt`, `ct` (T,), cumulative `kept`, `other`, `masked`, `unmasked` (T + 1,)."""

    at: Tensor
    bt: Tensor
    ct: Tensor
    kept: Tensor
    other: Tensor
    masked: Tensor
    unmasked: Tensor

    @property
    def steps(self) -> int:
        """T."""
        return len(self.at)

    def posterior(self, start: Tensor, tokens: Tensor, t: int) -> Tensor:
        """Log-probabilities (B, N, V + 1), not normalised, of the tokens before step t.

        Args:
            start: log-probabilities (B, N, V + 1) of the image's tokens, as predicted.
            tokens: (B, N) after step t, V = masked.
            t: the step that is gone back.
        """
        vocab = start.shape[-1] - 1
        hidden = (tokens == vocab)[..., None]
        same = torch.full_like(start, TINY).scatter_(-1, tokens[..., None], 0.0)[..., :vocab]
        reached = torch.where(hidden, self.masked[t], lae(same + self.kept[t], self.other[t]))
        one = torch.where(hidden, self.ct[t], lae(same + self.at[t], self.bt[t]))
        one = torch.cat((one, torch.where(hidden, 0.0, TINY)), -1)
        q = F.pad(start[..., :vocab] - reached, (0, 1), value=TINY)
        total = q.logsumexp(-1, keepdim=True)
        q = q - total
        before = lae(q[..., :vocab] + self.kept[t - 1], self.other[t - 1])
        mask = lae(q[..., vocab:] + self.unmasked[t - 1], self.masked[t - 1])
        return (torch.cat((before, mask), -1) + one + total).clamp(LOWEST, 0.0)


def lae(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b)."""
    return torch.logaddexp(a, b.expand_as(a))
