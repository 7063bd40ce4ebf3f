"""Golden vectors of the guidance formulas (float64), against the links a run uses (float32)."""

from typing import Any

import torch
from ar_guidance.analysis import metrics
from ar_guidance.guidance import ssg
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import ActiveChain, Chain
from ar_guidance.guidance.head import CATEGORICAL
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.softcfg import position_weights
from torch import Tensor

TOLERANCE = 1e-5
AMPLITUDES = {"verbatim": ssg.VERBATIM, "preserve": ssg.PRESERVE}


def run(case: Any) -> None:
    grids = tuple(tuple(grid) for grid in case.facts["scales"])
    plan = RunInfo("scale", grids, published=Schedule("linear ramp"))
    chains = {
        name: Chain(guidances).begin(plan) for name, guidances in links_of(case.facts).items()
    }
    for k, grid in enumerate(grids):
        cond, uncond = (flat(case.input(f"step{k}.{name}")) for name in ("cond", "uncond"))
        for name, chain in chains.items():
            compare(case, k, name, chain, cond, uncond, grid)
        if k > 0:
            check_priors(case, k, grids)
            check_metrics(case, k, grid)
    check_schedules(case)
    check_entropy(case)
    check_softcfg(case)


def links_of(facts: dict) -> dict[str, tuple]:
    ramp_cfg = CFG(1 + facts["cfg_weight"], "linear ramp")
    igg = 1 + facts["igg_weight"]
    plain, attended = facts["mixed"]
    chains: dict[str, tuple] = {
        "cfg": (ramp_cfg,),
        "igg": (IGG(igg, "linear ramp"),),
        "igg_window": (IGG(igg, "linear ramp", window="auto"),),
        "mixed": (Mixed(plain, "constant", igg_scale=attended),),
    }
    for name, amplitude in AMPLITUDES.items():
        guidance = ssg.SSG(facts["ssg_beta"], amplitude=amplitude)
        chains[f"ssg.{name}"] = (guidance,)
        chains[f"ssg_then_cfg.{name}"] = (guidance, ramp_cfg)
        chains[f"cfg_then_ssg.{name}"] = (ramp_cfg, guidance)
    return chains


def compare(
    case: Any, k: int, name: str, chain: ActiveChain, cond: Tensor, uncond: Tensor, grid: tuple
) -> None:
    guided = chain.apply(k, cond, uncond)
    if case.has(f"step{k}.{name}"):
        case.close(f"step{k}.{name}", guided[0].unflatten(0, grid).double(), TOLERANCE)
    if name == "mixed":  # equal to the chain of both
        guidance = chain.chain.guidances[0]
        both = Chain((CFG(guidance.scale, "constant"), IGG(guidance.igg_scale, "constant"))).begin(
            chain.run
        )
        assert torch.allclose(both.apply(k, cond, uncond), guided, atol=TOLERANCE)


def flat(logits: Tensor) -> Tensor:
    """(H, W, V) float64 -> (1, T, V) float32, as a loop hands it over."""
    return logits.flatten(0, 1)[None].float()


def check_priors(case: Any, k: int, grids: tuple) -> None:
    before = case.expected[f"step{k - 1}.cond"][None].float()
    kinds = {"bilinear": "linear", "nearest": "nearest", "dse": "DSE", "dse_zero": "DSE zero"}
    for name, prior in kinds.items():
        for suffix, amplitude in AMPLITUDES.items():
            key = f"step{k}.prior.{name}"
            key = key if prior in ("linear", "nearest") else f"{key}.{suffix}"
            if case.has(key):
                made = ssg.upsample(before, grids[k], prior, "bilinear", amplitude)
                case.close(key, made[0].double(), TOLERANCE)


def check_metrics(case: Any, k: int, grid: tuple) -> None:
    facts = case.facts["cases"]
    nudge = case.expected[f"step{k}.cond"] - case.expected[f"step{k}.uncond"]
    magnitudes = nudge.float().flatten(0, 1).norm(dim=-1)
    close(metrics.evenness(magnitudes), facts[f"step{k}.evenness"])
    picks = case.input(f"step{k}.background_pick")
    close(metrics.divergence(magnitudes, picks), facts[f"step{k}.divergence"])
    mask = case.input(f"step{k}.mask").bool().flatten()  # True = subject
    assert not mask[picks].any(), "the case drew its background from outside the mask"


def close(value: Tensor, wanted: float) -> None:
    assert abs(value.item() - wanted) < TOLERANCE, f"{value.item()} is not {wanted}"


def check_schedules(case: Any) -> None:
    for key in [key for key in case.expected if key.startswith("schedule.")]:
        name, _, numbers = key[len("schedule.") : -1].partition("(")
        values = [float(number) for number in numbers.split(",")]
        count = len(case.expected[key])
        power = values[1] if name == "cosine_power" else 1.0
        schedule = Schedule(name.replace("_", " "), power=power)
        full = values[0] - 1 if name == "cosine_power" else values[0]
        made = [schedule.strength(k, count, full, rest=0.0) for k in range(count)]
        case.close(key, torch.tensor(made, dtype=torch.float64), TOLERANCE)


def check_entropy(case: Any) -> None:
    made = CATEGORICAL.entropy(case.input("entropy.logits").float())
    case.close("entropy.normalised", made.double(), TOLERANCE)


def check_softcfg(case: Any) -> None:
    """Weights of value vectors from confidences (convention A)."""
    sure = case.input("softcfg.pmax")
    plain = position_weights(sure[None], normalise=False, strength=1.0, floor=0.0, eps=1e-8)
    case.close("softcfg.weights", plain[0], TOLERANCE)
    table = case.input("softcfg.weights_normalised")
    for i, row in enumerate(table, start=1):
        made = position_weights(sure[None, :i], True, strength=1.0, floor=0.0, eps=1e-8)[0]
        assert (made - row[:i]).abs().max() <= TOLERANCE
        assert row[i:].isnan().all()
