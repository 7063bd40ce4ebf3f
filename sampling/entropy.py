"""Entropy-aware temperature (arXiv 2510.09012): a token's temperature follows from how undecided its prediction is.

    T_t = T (rise exp(-H_t / decay) + floor)

H_t: entropy in nats of the guided prediction at temperature 1, over the codes that the filters keep; T: the sampler's temperature.
Where the model is sure (small H: plain areas) draws become freer, where it is undecided (large H: structure) safer. The numbers of
the authors' LlamaGen code, for 16384 codes: rise 2.5, decay 3, floor 0.6, with T = 1.4, no top-k and no top-p there.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EntropyTemperature:
    """How temperature depends on entropy. rise 0, floor 1 = it does not.

    Attributes:
        rise: what is added to `floor` where H = 0.
        decay: nats over which that falls to 1 / e of itself.
        floor: the factor where H is large.

    Raises:
        ValueError: a number out of range.
    """

    rise: float = 2.5
    decay: float = 3.0
    floor: float = 0.6

    def __post_init__(self) -> None:
        numbers = {"rise": self.rise, "decay": self.decay, "floor": self.floor}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 or more, not {value:g}")
        if self.decay == 0 or self.floor == 0:
            raise ValueError(
                "decay and floor must be above 0, or some tokens would have no temperature"
            )

    def factor(self, kept: Tensor) -> Tensor:
        """What T is multiplied by, (..., 1), for logits (..., V) at temperature 1; -inf where a filter has removed a code."""
        nats = torch.special.entr(kept.softmax(-1)).sum(-1, keepdim=True)
        return self.rise * torch.exp(-nats / self.decay) + self.floor
