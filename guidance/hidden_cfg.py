"""CFG inside the network: branches mixed at the output of a block (Infinity, arXiv 2412.04431, released code).

    x = u + gamma_k (c - u),    gamma_k = 1 + (scale - 1) r_k

c, u: hidden states (B, T, C) of the conditional and unconditional branch behind block N - depth of N, counted from 0.
Both branches go on from x, each with its own text and modulation; the logits are the conditional branch's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .base import RunInfo, Signal, Step, parameter
from .schedule import LIST, SHAPES
from .scheduled import Scheduled, values_parameter


@dataclass(frozen=True)
class HiddenCFG(Scheduled):
    """Classifier-free guidance on hidden states. scale 1 = no guidance."""

    name: ClassVar[str] = "hidden_cfg"
    node_id: ClassVar[str] = "ARGuidanceHiddenCFG"
    title: ClassVar[str] = "AR Guidance: Hidden CFG"
    summary: ClassVar[str] = (
        "Classifier-free guidance inside the network, for Infinity: mixes the branches after a late block instead of at"
        " the end, so that the last blocks can still tidy up what guidance did."
    )
    aliases: ClassVar[tuple[str, ...]] = ("Infinity", "cfg_insertion_layer")
    paper: ClassVar[str] = "arXiv 2412.04431"
    formula: ClassVar[str] = "x = u + gamma (c - u) after block N - depth"
    symbols: ClassVar[str] = (
        "c and u are what the network holds inside (hidden states) with and without the prompt as they leave that block, N"
        " how many blocks it has (they are counted from 0), and depth the input below; both branches go on from x. gamma is"
        " `scale` at this step."
    )
    combines: ClassVar[bool] = False
    rest: ClassVar[float] = 1.0
    neutral: ClassVar[Mapping[str, float | str]] = {"scale": 1.0}
    inside: ClassVar[bool] = True

    scale: float = parameter(
        3.0,
        "How strongly the image follows the prompt. 1 = no guidance. Too little: vague. Too much: harsh colours.",
        minimum=-20.0,
        maximum=50.0,
        step=0.05,
    )
    depth: int = parameter(
        5,
        "How many blocks before the end the branches are mixed. 1 = behind the last block, close to ordinary CFG. Large:"
        " most of the network works on the mixture, which it never saw in training.",
        minimum=1,
        maximum=64,
        step=1,
    )
    schedule: str = parameter(
        "constant",
        "How the scale grows over the steps; the release keeps it constant.",
        options=(*SHAPES, LIST),
    )
    values: tuple[float, ...] = values_parameter()

    def refuse(self, run: RunInfo) -> str | None:
        if not run.mixable:
            return "this model cannot mix branches inside; use AR Guidance: CFG"
        if self.depth >= run.mixable:
            return f"depth {self.depth} must be less than the model's {run.mixable} blocks"
        return super().refuse(run)

    def mixes(self, index: int, run: RunInfo) -> Mapping[int, float]:
        gamma = self.at_step(index, run, self.scale)
        if gamma is None or gamma == 1.0:
            return {}
        return {run.mixable - self.depth: gamma}

    def apply(self, step: Step, signal: Signal, run: RunInfo, state: None) -> Signal:
        return signal  # the network has done it
