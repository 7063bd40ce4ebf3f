"""Golden cases of Switti, both kinds, through the loaders and the loop."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.sampling.draw import Streams, smooth_weights
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from golden_shared import CPU, Setup, build, check_tokenizer, filters_of, find, load, recorded


def setup(case: Any) -> Setup:
    model = model_of(case)
    return Setup(model, load(case, "tokenizer", "image_tokenizer"), job_of(case, model))


def run(case: Any) -> None:
    with torch.inference_mode():
        codec = load(case, "tokenizer", "image_tokenizer")
        grids = [(side, side) for side in case.facts["config"]["vqvae"]["v_patch_nums"]]
        check_tokenizer(case, codec, grids)
        if case.file("transformer") is not None:
            check_run(case, codec)
            check_filter(case)
            check_smooth(case, codec)


def check_run(case: Any, codec: Any) -> None:
    model = model_of(case)
    network, job = build(model), job_of(case, model)
    tolerance = case.tolerance("float32_abs")
    seen = []
    network.blocks[0].register_forward_hook(lambda _, args, out: seen.append((args[0], out)))

    def compare(progress: Any) -> None:
        name, (given, out) = f"step{progress.index}", seen[-1]
        case.compare(f"{name}.input", given[: job.batch], tolerance)
        case.compare(f"{name}.block0_out", out, tolerance)
        case.compare(f"{name}.logits_cond", progress.cond, tolerance)
        case.compare(f"{name}.logits_uncond", progress.uncond, tolerance)
        guided = progress.guided / job.draw.at(progress.index).temperature
        case.compare(f"{name}.guided", guided, case.tolerance("guided_abs"))
        case.compare(f"{name}.tokens", progress.tokens)

    # The reference runs both branches up to the last guided scale, as a causal plan does.
    both = replace(job, run=replace(job.run, causal=True))
    both = recorded(case, both, *(f"step{k}.logits_uncond" for k in range(job.run.count)))
    result = generate(network, codec, both, CPU, on_step=compare)
    case.compare("f_hat", result.features, tolerance)
    case.compare("image", lambda: codec.decode(result.features) / 2 + 0.5, tolerance)
    check_plan(case, network, codec, job, result)
    text = job.conditions
    pooled = torch.cat([branch.pooled for branch in text])
    case.compare("cond_vector", network.condition(pooled), tolerance)
    case.compare("crop_cond", network.crop(CPU), tolerance)


def check_plan(case: Any, network: Any, codec: Any, job: ScalewiseJob, expected: Any) -> None:
    """The branch is left out where no scale needs it, and that changes nothing."""
    settings, count = case.facts["guidance"], job.run.count
    on, off = settings["turn_on_cfg_start_si"], settings["turn_off_cfg_start_si"]
    first, end = max(on, 1), min(off, count)  # the first scale's t is 0 whatever the settings say
    # Scales that see earlier ones need the branch's past as well; without any guided scale nothing is needed.
    begin = 0 if network.config.causal and first < end else first
    needed = [begin <= k < end for k in range(count)]
    assert list(job.chain.needs_uncond(job.run)) == needed
    result = generate(network, codec, job, CPU)
    for ours, theirs in zip(result.tokens, expected.tokens, strict=True):
        assert torch.equal(ours, theirs)


def model_of(case: Any) -> Any:
    facts = case.facts["config"]["switti"]
    model = find(
        case,
        "transformer",
        settings={name: facts[name] for name in ("depth", "num_heads", "rope_theta", "rope_size")},
        crop=tuple(case.facts["config"]["derived"]["crop_condition"]),
    )
    assert list(model.config.sides) == facts["patch_nums"]
    assert model.config.heads == facts["num_heads"]
    assert model.config.causal == facts["use_ar"]
    return model


def job_of(case: Any, model: Any) -> ScalewiseJob:
    """The run; the authors divide the unguided steps' logits by a temperature."""
    batch = case.facts["config"]["batch"]
    settings, count = case.facts["guidance"], len(model.config.sides)
    on, off = settings["turn_on_cfg_start_si"], settings["turn_off_cfg_start_si"]
    start, end = max(on - 0.5, 0) / (count - 1), min((off - 0.5) / (count - 1), 1.0)
    guidance = CFG(1 + settings["cfg"], start=start, end=end) if off > on else None
    late = settings["last_scale_temp"] or 1.0
    temperatures = tuple(late if k >= off else 1.0 for k in range(count))
    sampler_settings = SamplerSettings(temperatures=temperatures, top_k=1, top_p=0.0)
    guidances = (guidance,) if guidance else ()
    return plan(
        model, conditions(case, batch), batch, guidances, sampler_settings, Streams(0, batch)
    )


def conditions(case: Any, batch: int) -> tuple[TextCondition, TextCondition]:
    features, pooled = case.input("text.prompt_embeds"), case.input("text.pooled")
    live = case.input("text.attn_bias") == 0
    text = TextCondition(features[:batch], live[:batch], pooled[:batch])
    null = TextCondition(*(x[batch:].expand(batch, *x.shape[1:]) for x in (features, live, pooled)))
    return text, null


def check_filter(case: Any) -> None:
    if not case.has("filter.logits"):
        return
    kept = filters_of(case.facts["config"]["filter"]).apply(case.input("filter.logits"))
    case.compare("filter.kept", kept.isfinite())


def check_smooth(case: Any, codec: Any) -> None:
    if not case.has("smooth.logits"):
        return
    ratio, tolerance = case.facts["config"]["smooth"]["ratio"], case.tolerance("float32_abs")
    logits, noise = case.input("smooth.logits"), case.input("smooth.exponential")
    weights = smooth_weights(logits, noise, ratio)
    case.compare("smooth.weights", weights, tolerance)
    mixed = codec.mix(weights, (1, weights.shape[1])).flatten(2).transpose(1, 2)
    case.compare("smooth.h", mixed, tolerance)
