"""The CFG-IGG mix on denoised predictions of a diffusion model, against the formula's recorded numbers."""

from typing import Any

from ar_guidance.guidance.diffusion import DiffusionMix


def run(case: Any) -> None:
    facts, tolerance = case.facts, case.tolerance("exact")
    cfg, (plain, attended) = facts["guidance"]["cfg"], facts["guidance"]["mix"]
    for k in range(len(facts["probe_sigmas"])):
        cond, uncond = (case.input(f"probe{k}.{name}") for name in ("D_cond", "D_uncond"))
        by_sampler = uncond + cfg * (cond - uncond)
        case.close(f"probe{k}.D_cfg", by_sampler, tolerance)
        mix = DiffusionMix(attended, plain)
        case.close(f"probe{k}.A_diff", mix.term(cond, uncond), tolerance)
        case.close(f"probe{k}.D_mix", mix.guide(by_sampler, cond, uncond, cfg), tolerance)
