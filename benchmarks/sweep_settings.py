"""What the sweep compares: one `Setting` per point of a curve, the important ones first."""

import re
from dataclasses import dataclass

from ar_guidance.guidance.apg import APG
from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.cfg_zero import CFGZero
from ar_guidance.guidance.igg import IGG, TOKEN_WEIGHT
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import PRESERVE, SSG
from ar_guidance.guidance.tcfg import TCFG
from ar_guidance.sampling.entropy import EntropyTemperature

BASE = 3.0  # scale of the CFG under SSG
SCALES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Setting:
    """One point: a curve's name, the strength on its axis, and the chain."""

    method: str
    strength: float
    guidances: tuple[Guidance, ...]
    temperature: float = 1.0
    by_entropy: EntropyTemperature | None = None

    @property
    def slug(self) -> str:
        """The name of its files."""
        return re.sub(r"[^a-z0-9.]+", "-", f"{self.method} {self.strength:g}".lower())


def scalewise_settings() -> list[Setting]:
    """Everything that is compared on the scale-wise model."""
    rows = [Setting("no guidance", 1.0, ())]
    for scale in SCALES:
        rows.append(Setting("CFG", scale, (CFG(scale),)))
        rows.append(Setting("IGG", scale, (IGG(scale),)))
    base = CFG(BASE)
    rows += [Setting("CFG + SSG", b, (base, SSG(b))) for b in (0.4, 0.8, 0.2, 1.2, 0.1, 1.8, 2.5)]
    for beta in (0.4, 0.8, 0.2):
        ablations = {
            "constant": SSG(beta, "constant"),
            "linear": SSG(beta, prior="linear"),
            "nearest": SSG(beta, prior="nearest"),
            "DSE zero": SSG(beta, prior="DSE zero"),
            "preserve amplitude": SSG(beta, amplitude=PRESERVE),
        }
        rows += [
            Setting(f"CFG + SSG, {n}", beta, (base, guidance)) for n, guidance in ablations.items()
        ]
    for scale in (1.5, 2.0, 3.0):
        rows.append(Setting("CFG, constant", scale, (CFG(scale, "constant"),)))
        rows.append(Setting("mix with IGG -0.4, constant", scale, (Mixed(scale, igg_scale=-0.4),)))
    for scale in (2.0, 3.0, 4.0):
        rows.append(Setting("IGG, window", scale, (IGG(scale, window="auto"),)))
        rows.append(Setting("IGG, token weight", scale, (IGG(scale, attention=TOKEN_WEIGHT),)))
    for scale in (2.0, 3.0, 4.0, 6.0):
        rows.append(Setting("SoftCFG", scale, (SoftCFG(scale),)))
        whole = SoftCFG(scale, normalise=False)
        rows.append(Setting("SoftCFG, no step normalisation", scale, (whole,)))
    rows += [Setting("SSG alone", beta, (SSG(beta),)) for beta in (0.4, 0.8, 1.2)]
    return rows + paper_settings() + later_settings()


def later_settings() -> list[Setting]:
    """Methods that came after the others, at two scales, and the published entropy-aware temperature."""
    rows = []
    for scale in (3.0, 6.0):
        rows.append(Setting("APG", scale, (APG(scale),)))
        rows.append(Setting("TCFG", scale, (TCFG(scale),)))
        rows.append(Setting("CFG-Zero*", scale, (CFGZero(scale),)))
    by_entropy = EntropyTemperature()
    rows.append(Setting("CFG, entropy-aware temperature", BASE, (CFG(BASE),), 1.0, by_entropy))
    return rows


def paper_settings() -> list[Setting]:
    """Rows of the IGG paper's Table 4 in ComfyUI's scale (1 + w), and what could explain SSG's gain.

    The fixed schedule has gamma_k = 1.85 as printed; w = w' = 0.75 are gamma and gamma' of 1.75 at the end of a ramp.
    """
    even = Mixed(1.75, "linear ramp", igg_scale=1.75)
    rows = [
        Setting("IGG, linear ramp", 2.85, (IGG(2.85),)),
        Setting("IGG, constant", 1.85, (IGG(1.85, "constant"),)),
        Setting("mix, w = w' = 0.75", 1.75, (even,)),
    ]
    rows += [Setting("CFG 3, temperature", t, (CFG(BASE),), t) for t in (0.8, 0.9)]
    rows.append(Setting("CFG 6 + SSG", 1.2, (CFG(6.0), SSG(1.2))))
    for scale in (2.0, 4.0):
        beside = Mixed(scale, "linear ramp", igg_scale=0.5)
        rows.append(Setting("CFG and IGG 0.5", scale, (beside,)))
    return rows
