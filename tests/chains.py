"""Guidances for laws that must hold whatever the settings are: single links, and chains of two."""

from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.cfg_zero import CFGZero
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.guidance.tcfg import TCFG

Links = tuple[Guidance, ...]

VARIANTS: list[Guidance] = [
    *(method() for method in METHODS.values() if not method.inside),
    SoftCFG(3.0, "constant", normalise=False, perturb="keys and values"),
    SoftCFG(3.0, "constant", convention="released code", confidence="guided"),
    IGG(3.0, "constant", window="auto"),
    IGG(3.0, "constant", window="fixed side", window_side=3),
    IGG(3.0, attention="token weight", centre=True),
    SSG(0.7, "constant", prior="DSE zero", interpolation="bicubic"),
    SSG(0.7, amplitude="preserve amplitude"),
    SSG(0.7, prior="nearest"),
    TCFG(3.0, vectors="each token"),
    CFGZero(3.0, vectors="each token"),
]
"""Links whose logits are tested without a network."""

_SINGLE: dict[str, Guidance] = {
    "cfg": CFG(3.0, "constant"),
    "igg": IGG(3.0, "constant"),
    "mixed": Mixed(3.0, "constant"),
    "ssg": SSG(0.7, "constant"),
    "softcfg": SoftCFG(3.0, "constant"),
    "hidden_cfg": HiddenCFG(3.0, depth=1),
    "softcfg released": SoftCFG(3.0, "constant", convention="released code"),
    "softcfg keys": SoftCFG(3.0, "constant", perturb="keys", normalise=False),
    "softcfg guided": SoftCFG(3.0, "constant", confidence="guided", strength=2.0),
    "softcfg uncond": SoftCFG(3.0, "constant", confidence="unconditional"),
}
CHAINS: dict[str, Links] = {
    **{  # "constant": no published schedule leaves a step without guidance
        name: (method(**({"schedule": "constant"} if method.combines else {})),)
        for name, method in METHODS.items()
    },
    **{name: (guidance,) for name, guidance in _SINGLE.items()},
    "cfg, cfg": (CFG(2.0), CFG(1.5, "constant")),
    "cfg, igg": (CFG(2.0, "constant"), IGG(1.5, "linear ramp", window="auto")),
    "ssg, cfg": (SSG(0.7, "constant"), CFG(3.0, "constant")),
    "cfg, ssg": (CFG(3.0, "constant"), SSG(0.7, prior="nearest")),
    "mixed, igg": (Mixed(2.0, window="fixed side", window_side=3), IGG(0.5, "constant")),
    "igg, ssg": (
        IGG(3.0, attention="token weight", centre=True),
        SSG(amplitude="preserve amplitude"),
    ),
    "softcfg, cfg": (SoftCFG(2.0, "constant"), CFG(1.5, "constant")),
    "softcfg, igg": (SoftCFG(2.0, "constant", perturb="keys and values"), IGG(0.5, "constant")),
    "ssg, softcfg": (SSG(0.7, "constant"), SoftCFG(3.0, "constant", convention="released code")),
    "tcfg, igg": (TCFG(3.0, "constant", vectors="each token"), IGG(0.5, "constant")),
    "cfg_zero, cfg": (CFGZero(3.0, "constant"), CFG(1.5, "constant")),
    "hidden_cfg, cfg": (HiddenCFG(2.0, depth=1), CFG(2.0, "constant")),
}
"""Chains that are run through every family's loop; every registered method is among them."""


def refusal(family: str, guidances: Links) -> str | None:
    """What the refusal says of a chain that cannot act on a tiny family, as documented; None where it can."""
    for guidance in guidances:
        if isinstance(guidance, IGG | SSG) and family in NEXT_TOKEN:
            return "CFG or SoftCFG"
        if isinstance(guidance, SoftCFG) and family == "switti":
            return "keeps none between its scales"
        if isinstance(guidance, HiddenCFG) and family != "infinity":
            return "cannot mix branches inside"
    return None


NEXT_TOKEN = ("llamagen", "llamagen_text", "alitok", "simplear", "lumina_mgpt2")
