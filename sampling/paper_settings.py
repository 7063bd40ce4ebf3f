"""Settings the papers report, row by row: how tokens are drawn, and the chain. Data only; nothing acts by itself.

Scales are ComfyUI's (1 = no CFG guidance): a VAR weight w is scale 1 + w on a linear ramp, the default of Tian et al. that the
IGG paper keeps (its section 3); a fixed schedule's gamma, and AliTok's, is the scale as it stands. Filters are the ones the
families' authors evaluate with (VAR: top-k 900, top-p 0.96 for FID), for the guidance papers do not name theirs. What a paper does not
state has no row here: IGG's w on VAR-CLIP and Switti (Table 3), SSG's initial beta of every model, SoftCFG's jointly tuned
("Opt.") gamma and k.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..guidance.base import Guidance
from ..guidance.cfg import CFG
from ..guidance.combining import Combining
from ..guidance.igg import AUTO, IGG
from ..guidance.mixed import Mixed
from ..guidance.softcfg import BOTH, KEYS, SoftCFG
from .plan import SamplerSettings

IGG_PAPER, SOFTCFG_PAPER, ALITOK = (
    "arXiv 2509.23876",
    "arXiv 2510.00996",
    "AliTok's released settings",
)
VAR_FID = SamplerSettings(temperature=1.0, top_k=900, top_p=0.96)
UNFILTERED = SamplerSettings(temperature=1.0, top_k=0, top_p=0.0)
RAMP, FIXED, COSINE = "linear ramp", "constant", "cosine power"


WIDTHS = {
    **{("var", "d30"): 1920, ("var", "d36"): 2304},
    **{("alitok", "B"): 768, ("alitok", "L"): 1024, ("alitok", "XL"): 1280},
    **{("edm2", "S"): 192, ("edm2", "XXL"): 448},
}
"""(family, release) -> channels of its network, of EDM2 those of the finest level: what tells a family's releases apart."""


@dataclass(frozen=True)
class PaperSetting:
    """One row of a paper.

    Attributes:
        name: what it is asked for by; permanent.
        source: paper and table.
        family: `Family.name` of the model it is for.
        release: which of the family's releases.
        chain: the guidances.
        sampler: how tokens are drawn.
        reported: what the paper measured, by metric.
    """

    name: str
    source: str
    family: str
    release: str
    chain: tuple[Guidance, ...]
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    reported: Mapping[str, float] = field(default_factory=dict)

    def note(self, width: int) -> str:
        """What is to be said where the network, of that many channels, is not the release that the row is for; "" where it is."""
        wanted = WIDTHS[self.family, self.release]
        if width == wanted:
            return ""
        return (
            f"the preset '{self.name}' holds a paper's numbers for {self.family} {self.release} ({wanted} channels), and this network"
            f" is another ({width} channels): they are used as they stand, and what the paper reports does not hold for them"
        )


def _var(
    name: str, place: str, release: str, guidance: Guidance, **reported: float
) -> PaperSetting:
    return PaperSetting(
        name, f"{IGG_PAPER}, {place}", "var", release, (guidance,), VAR_FID, reported
    )


def _alitok(
    name: str, source: str, release: str, guidance: Combining, **reported: float
) -> PaperSetting:
    return PaperSetting(name, source, "alitok", release, (guidance,), UNFILTERED, reported)


def _soft(name: str, place: str, perturb: str, **reported: float) -> PaperSetting:
    guidance = SoftCFG(13.0, COSINE, power=1.4, perturb=perturb)
    return _alitok(name, f"{SOFTCFG_PAPER}, {place}", "XL", guidance, **reported)


ROWS: tuple[PaperSetting, ...] = (
    _var("VAR-d30 CFG", "Table 2", "d30", CFG(2.75, RAMP), fid=1.93, inception=315.64),
    _var("VAR-d30 IGG", "Table 2", "d30", IGG(2.85, RAMP), fid=1.92, inception=321.28),
    _var("VAR-d36 CFG", "Table 2", "d36", CFG(2.50, RAMP), fid=2.61, inception=293.7),
    _var("VAR-d36 IGG", "Table 2", "d36", IGG(3.10, RAMP), fid=2.56, inception=314.3),
    _var(
        "VAR-d30 mix",
        "Table 4, w = w' = 0.75",
        "d30",
        Mixed(1.75, RAMP, igg_scale=1.75),
        fid=5.48,
        inception=415.6,
        evenness=0.492,
        divergence=0.827,
    ),
    _var(
        "VAR-d30 IGG fixed",
        "Table 4, fixed schedule",
        "d30",
        IGG(1.85, FIXED),
        fid=4.29,
        inception=359.5,
        evenness=0.727,
        divergence=0.684,
    ),
    _var(
        "VAR-d30 IGG window",
        "Table 4, sliding window",
        "d30",
        IGG(2.85, RAMP, window=AUTO),
        fid=1.92,
        inception=321.5,
        evenness=0.608,
        divergence=0.759,
    ),
    PaperSetting(
        "EDM2-S mix",
        f"{IGG_PAPER}, Table 5",
        "edm2",
        "S",
        (Mixed(1.40, FIXED, igg_scale=-0.40),),
        reported={"fid": 2.20},
    ),
    PaperSetting(
        "EDM2-XXL mix",
        f"{IGG_PAPER}, Table 5",
        "edm2",
        "XXL",
        (Mixed(1.20, FIXED, igg_scale=-0.20),),
        reported={"fid": 1.82},
    ),
    _alitok("AliTok-B CFG", ALITOK, "B", CFG(16.0, COSINE, power=1.8), fid=1.50),
    _alitok("AliTok-L CFG", ALITOK, "L", CFG(6.0, COSINE, power=0.7), fid=1.42),
    _alitok("AliTok-XL CFG", ALITOK, "XL", CFG(13.0, COSINE, power=1.4), fid=1.35),
    _alitok(
        "AliTok-XL SoftCFG",
        f"{SOFTCFG_PAPER}, Table 2, before joint tuning",
        "XL",
        SoftCFG(13.0, COSINE, power=1.4),
        fid=1.32,
        inception=302.0,
    ),
    _alitok(
        "AliTok-XL SoftCFG unnormalised",
        f"{SOFTCFG_PAPER}, Table 2, without step normalisation",
        "XL",
        SoftCFG(13.0, COSINE, power=1.4, normalise=False),
        fid=1.32,
        inception=288.1,
    ),
    _soft("AliTok-XL SoftCFG keys", "Table 3", KEYS, fid=1.39, inception=302.5),
    _soft("AliTok-XL SoftCFG keys and values", "Table 3", BOTH, fid=1.31, inception=287.6),
)
BY_NAME = {row.name: row for row in ROWS}


def paper_setting(name: str, family: str) -> PaperSetting:
    """The row of that name, for a model of that family (`Family.name`).

    Raises:
        ValueError: there is no such row, or it is for another family.
    """
    row = BY_NAME.get(name)
    if row is None:
        raise ValueError(
            f"there is no preset '{name}' in this version of the pack; a newer one may have it. Update the pack, or empty"
            f" 'preset' of AR Sampler; the other widgets keep what they hold. There are: {', '.join(BY_NAME)}"
        )
    if row.family != family:
        fitting = [other.name for other in ROWS if other.family == family]
        raise ValueError(
            f"the preset '{name}' is for models of the family {row.family}, and this one is {family};"
            + (f" for it there are: {', '.join(fitting)}." if fitting else " for it there is none.")
            + " Take another subgraph, or empty 'preset' of AR Sampler to use these numbers anyway"
        )
    return row
