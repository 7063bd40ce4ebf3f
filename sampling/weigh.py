"""How both loops lay a chain's weights beside the cache, before the forward pass they are for."""

from typing import Protocol

from torch import Tensor

from ..guidance.base import TokenWeights
from ..guidance.chain import ActiveChain


class WeighableState(Protocol):
    """One run of a network: its cache, and the weights that lie beside it."""

    def weigh(self, values: Tensor | None, keys: Tensor | None) -> None: ...


def weigh(
    chain: ActiveChain, state: WeighableState, index: int, uncond: bool
) -> TokenWeights | None:
    """Weight earlier tokens as the chain asks for step `index`, or no longer.

    `uncond`: whether the step computes the unconditional branch, the only one that is weighted. A network that keeps no
    cache between steps is not asked: a chain that weighs has refused it.
    """
    if not chain.weighs:
        return None
    weights = chain.weights(index) if uncond else None
    if weights is None:
        state.weigh(None, None)
    else:
        state.weigh(weights.values, weights.keys)
    return weights
