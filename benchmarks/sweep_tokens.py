"""The token-wise bundled model in the sweep: what it is compared under, and what is measured at every token."""

from typing import Any

import numpy as np
import torch
from ar_guidance.analysis.metrics import background_picks, divergence, evenness
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.softcfg import BOTH, KEYS, RELEASED, SoftCFG
from ar_guidance.imaging.subject import subject_from_border
from ar_guidance.tools.bundled.course import of_step
from ar_guidance.tools.bundled.groups import ANY_STYLE
from ar_guidance.tools.bundled.sample import Sampling, token_features
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .sweep_settings import Setting

ROWS = ("gap", "spread", "entropy of the prediction")  # what `of_step` measures


def tokenwise_settings() -> list[Setting]:
    """Everything that is compared on the token-wise model."""
    rows = [Setting("no guidance", 1.0, ())]
    for scale in (4.0, 2.0, 6.0):
        rows.append(Setting("CFG", scale, (CFG(scale),)))
        rows.append(Setting("SoftCFG", scale, (SoftCFG(scale),)))
        whole = SoftCFG(scale, normalise=False)
        rows.append(Setting("SoftCFG, no step normalisation", scale, (whole,)))
    others = {
        "released code": SoftCFG(4.0, convention=RELEASED),
        "keys": SoftCFG(4.0, perturb=KEYS),
        "keys and values": SoftCFG(4.0, perturb=BOTH),
        "confidence unconditional": SoftCFG(4.0, confidence="unconditional"),
        "confidence guided": SoftCFG(4.0, confidence="guided"),
    }
    return rows + [Setting(f"SoftCFG, {name}", 4.0, (soft,)) for name, soft in others.items()]


@torch.inference_mode()
def make(
    pair: tuple[Any, Any], setting: Setting, groups: Tensor, seed: int, first: int
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Pictures (B, 3, 64, 64) in [-1, 1], and per image: evenness, divergence, entropy (B, 1), `ROWS` (B, h)."""
    codec, network = pair
    steps: list[Tensor] = []

    def add(progress: Any) -> None:
        if progress.uncond is not None:
            steps.append(of_step(progress.cond, progress.uncond, progress.guided))

    labels = groups * (ANY_STYLE + 1) + ANY_STYLE
    drawer = Sampling().drawer(seed, len(labels), first)
    pictures = codec.decode(token_features(pair, labels, Chain(setting.guidances), drawer, add))
    if not steps:
        return pictures, {}
    return pictures, numbers(torch.stack(steps, 1), pictures, network.config.grid)


def numbers(steps: Tensor, pictures: Tensor, grid: tuple[int, int]) -> dict[str, np.ndarray]:
    """From the measures of every token (B, T, 3)."""
    gaps = steps[..., 0]
    subject = subject_from_border(pictures.movedim(1, -1) / 2 + 0.5).float()
    background = adaptive_avg_pool2d(subject[:, None], grid).flatten(1) < 0.5
    apart = [_divergence(g, b) for g, b in zip(gaps, background, strict=True)]
    found = {"evenness": evenness(gaps).numpy()[:, None], "divergence": np.array(apart)[:, None]}
    found["entropy"] = steps[..., 2].mean(1).numpy()[:, None]
    by_row = steps.unflatten(1, grid).mean(2)
    return found | {name: by_row[..., i].numpy() for i, name in enumerate(ROWS)}


def _divergence(gaps: Tensor, background: Tensor) -> float:
    """Of one image; NaN where it shows only subject or only background."""
    if background.all() or not background.any():
        return float("nan")
    return float(divergence(gaps, background_picks(background, 0)))
