"""Golden cases of HART: runs with codes and with mixed codes, the residual head, its schedule."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.models.parts.diffusion import respaced
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from golden_shared import CPU, GREEDY, Recorded, Setup, greedy, load, load_pair, recorded
from torch import Tensor


def setup(case: Any) -> Setup:
    model, network, codec = load_pair(case, "transformer", "image_tokenizer")
    return Setup(model, codec, job_of(case, model, network, GREEDY))


def run(case: Any) -> None:
    with torch.inference_mode():
        facts = case.facts["config"]["llm"]
        model, network, codec = load_pair(case, "transformer", "image_tokenizer")
        assert list(network.config.sides) == facts["patch_nums"]
        assert network.config.heads == facts["num_heads"]
        assert network.config.head_steps == int(facts["num_sampling_steps"])
        check_tokenizer(case, network.config.grids)
        check_schedule(case, network.config.head_steps)
        check_run(case, network, codec, job_of(case, model, network, GREEDY))
        check_smooth(case, model, network, codec)
        if case.has("filter.logits"):
            kept = Filters(**case.facts["sampling"]["filter"]).apply(case.input("filter.logits"))
            case.compare("filter.kept", kept.isfinite())


def check_tokenizer(case: Any, grids: Any) -> None:
    """As it is alone: codes refined at every scale, and the continuous target of the last."""
    if not case.has("enc.image"):
        return
    codec, tolerance = load(case, "tokenizer", "image_tokenizer"), case.tolerance("float32_abs")
    features = codec.encode_features(case.input("enc.image"))
    case.compare("enc.f", features, tolerance)
    tokens, f_hat = codec.quantise(features, grids)
    before = codec.empty_features(len(features), grids, CPU)
    for k, expected in enumerate(tokens):
        case.compare(f"enc.tokens{k}", expected)
        if k + 1 < len(grids):
            before = before + codec.refine(codec.lookup(expected, grids[k]), k, grids)
    case.compare("enc.f_hat_before_last", before, tolerance)
    target = (features - before).flatten(2).transpose(1, 2)
    case.compare("enc.residual_target", target, tolerance)
    case.compare("enc.teacher_input", codec.teacher_inputs(tokens, grids), tolerance)
    case.compare("enc.reconstruction_discrete", codec.decode(f_hat), tolerance)
    case.compare("enc.reconstruction", codec.decode_raw(features), tolerance)


def check_schedule(case: Any, steps: int) -> None:
    schedule = respaced(steps)
    case.compare("diff.timestep_map", torch.tensor(schedule.timesteps))
    for name in (
        "betas",
        "alphas_cumprod",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "posterior_log_variance_clipped",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
    ):
        ours = getattr(schedule, name).float()
        scale = max(1.0, ours.abs().max().item())
        case.compare(f"diff.{name}", ours, case.tolerance("float32_abs") * scale)


def job_of(case: Any, model: Any, network: Any, sampler_settings: SamplerSettings) -> ScalewiseJob:
    features, live = case.input("text.context"), case.input("text.mask").bool()
    case.compare("text.position_ids", live.long().cumsum(1) - 1)
    batch, published = len(features), CFG(scale=1 + case.facts["guidance"]["cfg"])
    conditions = TextCondition(features, live), network.null_condition(batch)
    exponentials = given_exponentials(case, len(model.config.grids))
    noise = Recorded(batch, exponentials, given_noise(case, batch))
    return plan(model, conditions, batch, (published,), sampler_settings, noise)


def given_exponentials(case: Any, count: int) -> Any:
    """The case's draws for mixing code vectors, scale by scale."""
    names = [f"smooth{k}.exponential" for k in range(count)]
    source = iter([case.input(name) for name in names if case.has(name)])
    return lambda shape, device: next(source)


def given_noise(case: Any, batch: int) -> Any:
    """The case's noise in the order it is asked for: start, then every executed step; afresh for every run."""
    first, steps = case.input("diff.noise_init"), case.input("diff.noise_steps")

    def sequence() -> Iterator[Tensor]:
        while True:
            yield first
            yield from steps[:-1]  # the last one is multiplied by 0

    source = sequence()
    return lambda shape, device: next(source).view(batch, *shape)


def check_run(case: Any, network: Any, codec: Any, job: ScalewiseJob) -> None:
    tolerance, guided = case.tolerance("float32_abs"), case.tolerance("guided_abs")
    job = recorded(case, job, *(f"step{k}.logits_uncond" for k in range(job.run.count)))
    blocks, last, conditions, entering = [], [], [], []
    hooks = [
        network.blocks[0].register_forward_hook(lambda _, args, out: blocks.append((args[0], out))),
        network.blocks[-1].register_forward_hook(lambda _, args, out: last.append(out)),
        network.diffloss.net.register_forward_hook(lambda _, args, out: entering.append(args)),
        network.decoder_norm.register_forward_hook(lambda _, args, out: conditions.append(out)),
    ]

    def compare(progress: Any) -> None:
        name, (given, out) = f"step{progress.index}", blocks[-1]
        rows = len(given) if progress.index == 0 else job.batch
        case.compare(f"{name}.input", given[:rows], tolerance)
        case.compare(f"{name}.block0_out", out, tolerance)
        case.compare(f"{name}.logits_cond", progress.cond, tolerance)
        case.compare(f"{name}.logits_uncond", progress.uncond, tolerance)
        case.compare(f"{name}.guided", progress.guided, guided)
        case.compare(f"{name}.tokens", progress.tokens)

    result = generate(network, codec, job, CPU, on_step=compare)
    for hook in hooks:
        hook.remove()
    head = network.begin(job.conditions, CPU).head
    case.compare("step0.logits_all_positions", network.logits(last[0], head), tolerance)
    case.compare("diff.z", conditions[0].flatten(0, 1), tolerance)
    rows = len(case.input("diff.noise_init"))
    case.compare("diff.x_trajectory", torch.stack([x[:rows] for x, _, _ in entering]), tolerance)
    case.compare("f_hat", result.features, tolerance)
    case.compare("image", lambda: codec.decode(result.features) / 2 + 0.5, tolerance)
    strength = job.chain.strength(job.run.count - 1, job.run) - 1
    for name, guidance in (("diff.sample", strength), ("diff.sample_cfg1", 1.0)):
        drawn = network.diffloss.sample(
            conditions[0], job.batch, guidance, given_noise(case, job.batch)
        )
        case.compare(name, drawn.flatten(0, 1), tolerance)


def check_smooth(case: Any, model: Any, network: Any, codec: Any) -> None:
    """The authors' scripts mix code vectors; the residual is conditioned on the tokens all the same."""
    if not case.has("smooth0.exponential"):
        return
    tolerance = case.tolerance("smooth_abs")
    sampler_settings = SamplerSettings(top_k=case.facts["sampling"]["smooth_top_k"])
    job = job_of(case, model, network, sampler_settings)
    assert job.smooth is not None  # as published

    def smooth(guided: Tensor, k: int) -> Tensor:
        weights = job.smooth(guided, k)
        case.compare(f"smooth{k}.weights", weights, tolerance)
        return weights

    result = generate(network, codec, replace(job, smooth=smooth, draw=greedy), CPU)
    case.compare("smooth.last_tokens", result.tokens[-1])
    case.compare("smooth.f_hat", result.features, tolerance)
    case.compare("smooth.image", lambda: codec.decode(result.features) / 2 + 0.5, tolerance)
