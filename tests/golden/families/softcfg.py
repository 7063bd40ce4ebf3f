"""Golden cases of SoftCFG on LlamaGen and AliTok networks, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.head import CATEGORICAL
from ar_guidance.guidance.softcfg import PAPER, RELEASED, SoftCFG
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.llamagen import left_pad
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate
from golden_shared import CPU, recorded
from torch import Tensor


def run(case: Any) -> None:
    with torch.inference_mode():
        network = load(case)
        if isinstance(case.facts.get("runs"), list):
            for name, guidance in released_links(case):
                check_run(case, network, name, guidance)
        else:
            for name, guidance in paper_links(case):
                check_run(case, network, name, guidance)


def load(case: Any) -> Any:
    """The network as the loaders build it, with the sizes its file does not hold."""
    part = find_part(read_weights(case.file("transformer")), "transformer")
    config, facts = part.config, case.facts["config"]["transformer"]
    assert part.family.name.startswith(case.facts["base_family"])
    if "grid" in facts:
        config = replace(config, heads=facts["n_head"], grid=(facts["grid"], facts["grid"]))
    network = part.family.build(config).eval()
    network.load_state_dict(part.tensors, strict=False)
    return network


def paper_links(case: Any) -> list[tuple[str, CFG]]:
    """The runs of a case of convention A."""
    gammas = tuple((1 + case.input("g_per_step")).tolist())
    guidances = []
    for name, settings in case.facts["conventions"]["runs"].items():
        if settings["scaled"] == "nothing":
            guidances.append((name, CFG(schedule="list", values=gammas)))
            continue
        soft = SoftCFG(
            schedule="list",
            values=gammas,
            convention=PAPER,
            perturb=settings["scaled"],
            normalise=settings["step_normalisation"],
        )
        guidances.append((name, soft))
    return guidances


def released_links(case: Any) -> list[tuple[str, CFG]]:
    """The runs of a case of convention B."""
    guidance = case.facts["guidance"]
    common = {
        "scale": guidance["guidance_scale"],
        "schedule": "cosine power",
        "power": guidance["guidance_scale_pow"],
        "convention": RELEASED,
    }
    return [
        (
            settings["name"],
            SoftCFG(
                **common, normalise=settings["step_norm"], strength=settings["softcfg_strength"]
            ),
        )
        for settings in case.facts["runs"]
    ]


def conditions(case: Any, network: Any) -> tuple[Any, int]:
    inputs = case.facts["inputs"]
    if "class_ids" in inputs:
        return torch.tensor(inputs["class_ids"]), len(inputs["class_ids"])
    assert inputs["left_padding"]
    caption = left_pad(case.input(inputs["text_features"]), case.input(inputs["text_mask"]))
    features, mask = inputs["model_inputs"]
    case.close(features, caption.features, 0.0)
    case.equal(mask, caption.mask)
    return caption, len(caption.mask)


def check_run(case: Any, network: Any, name: str, guidance: CFG) -> None:
    cond, batch = conditions(case, network)
    settings = case.facts["sampling"]
    run = RunInfo(
        "token", ((1, 1),) * settings["steps"], temperature=settings.get("temperature", 1.0)
    )
    steps = []
    job = TokenwiseJob(
        conditions=(cond, network.null_condition(batch)),
        batch=batch,
        run=run,
        chain=Chain((guidance,)),
        draw=lambda logits, step: logits.argmax(-1),
    )
    job = recorded(case, job, f"{name}.logits_uncond")
    tokens = generate(network, job, CPU, on_step=steps.append).tokens
    case.compare(f"{name}.tokens", tokens)
    gamma = torch.tensor([guidance.gamma(k, run) for k in range(run.count)])
    case.compare("cfg_per_step", gamma, 1e-5)
    compare_logits(case, name, steps, gamma[:, None])
    sure = torch.cat([step.cond for step in steps], 1)
    if case.has(f"{name}.pmax"):
        case.close(f"{name}.pmax", CATEGORICAL.confidence(sure), case.tolerance("pmax"))
    if case.has(f"{name}.p_token"):
        drawn = CATEGORICAL.confidence(sure, tokens, run.temperature)
        case.close(f"{name}.p_token", drawn, case.tolerance("p_token"))
    if case.has(f"{name}.w"):
        case.close(f"{name}.w", weight_table(steps), case.tolerance("w"))


def compare_logits(case: Any, name: str, steps: list, gamma: Tensor) -> None:
    for_cond = case.tolerance("logits_cond", "logits")
    for_uncond = case.tolerance("logits_uncond", "logits")
    cond, guided = (
        torch.cat([getattr(s, which) for s in steps], 1) for which in ("cond", "guided")
    )
    case.compare(f"{name}.logits_cond", cond, for_cond)
    if all(step.uncond is not None for step in steps):
        uncond = torch.cat([step.uncond for step in steps], 1)
        case.compare(f"{name}.logits_uncond", uncond, for_uncond)
    near = for_cond * gamma.abs() + for_uncond * (gamma - 1).abs()
    case.compare(f"{name}.guided", guided, near)


def weight_table(steps: list) -> Tensor:
    """(B, T, T): row t holds the weights of tokens 0..t-1 at step t, 0 elsewhere."""
    batch, count = steps[0].tokens.shape[0], len(steps)
    table = torch.zeros(batch, count, count)
    for t, step in enumerate(steps):
        table[:, t, :t] = 1.0
        if step.weights is not None:
            given = step.weights.keys if step.weights.values is None else step.weights.values
            table[:, t, : given.shape[1]] = given
    return table
