"""Golden cases of VAR, through the loaders and the loop the nodes use."""

from functools import partial
from typing import Any

import torch
from ar_guidance.guidance.base import Run
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.tokenizers.multiscale_vq import phi_index
from ar_guidance.sampling.draw import Filters, gumbel_softmax, smooth_codes
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.scalewise import ScalewiseRun, generate
from torch import Tensor

CPU = torch.device("cpu")


def run(case: Any) -> None:
    with torch.inference_mode():
        codec = load(case, "tokenizer")
        grids = [(side, side) for side in case.facts["config"]["patch_nums"]]
        indices = [phi_index(k, len(grids), codec.config.phi_count) for k in range(len(grids))]
        assert indices == case.facts["config"]["phi_index_per_scale"]
        check_tokenizer(case, codec, grids)
        if case.file("transformer") is not None:
            network = load(case, "transformer")
            assert list(network.config.grids) == grids
            check_runs(case, network, codec)
        check_filters(case)
        check_gumbel(case)


def load(case: Any, part: str) -> Any:
    """A network as the loaders build it, in fp32."""
    found = find_part(read_weights(case.file(part)), part)
    network = found.family.build(found.config).eval()
    network.load_state_dict(found.tensors, strict=False)
    return network


def check_tokenizer(case: Any, codec: Any, grids: list) -> None:
    images = case.tolerance("images_abs")
    features = case.tolerance("features_abs", "images_abs")
    if case.has("enc.image"):
        f = codec.encode_features(case.input("enc.image"))
        case.close("enc.f", f, features)
        tokens, f_hat = codec.quantise(f, grids)
        for k, expected in enumerate(tokens):
            case.equal(f"enc.tokens{k}", expected)
        case.close("enc.f_hat", f_hat, features)
        case.close("enc.reconstruction", codec.decode(f_hat), images)
        case.close("enc.var_input", codec.teacher_inputs(tokens, grids), features)
    if case.has("flat.image"):
        case.close("flat.f", codec.encode_features(case.input("flat.image")), features)
    if case.has("dec.f_hat"):
        case.close("dec.image", codec.decode(case.input("dec.f_hat")), images)
    if case.has("ns.image"):
        oblong = [tuple(grid) for grid in case.facts["nonsquare_patch_nums"]]
        tokens, f_hat = codec.quantise(codec.encode_features(case.input("ns.image")), oblong)
        for k, expected in enumerate(tokens):
            case.equal(f"ns.tokens{k}", expected)
        case.close("ns.reconstruction", codec.decode(f_hat), images)


def check_runs(case: Any, network: Any, codec: Any) -> None:
    for name, settings in case.facts["runs"].items():
        if name not in ("main", "edit", "sample", "smooth"):
            continue
        generator = torch.Generator().manual_seed(settings.get("g_seed", 0))
        filters = Filters(top_k=settings.get("top_k", 0), top_p=settings.get("top_p", 0.0))
        labels = torch.tensor(settings["label"])
        job = ScalewiseRun(
            conditions=(labels, network.null_condition(len(labels))),
            batch=len(labels),
            run=Run("scale", network.config.grids, published=Schedule("linear ramp")),
            chain=Chain((CFG(scale=1 + settings["cfg"]),)),
            draw=partial(reference_draw, filters, generator) if "g_seed" in settings else greedy,
            kept=kept_tokens(case, network) if name == "edit" else None,
            smooth=partial(reference_smooth, filters, generator, codec)
            if settings.get("more_smooth")
            else None,
        )
        check_run(case, "" if name == "main" else f"{name}.", network, codec, job)


def check_run(case: Any, prefix: str, network: Any, codec: Any, job: ScalewiseRun) -> None:
    grids, tolerance = job.run.grids, case.tolerance("logits_abs")

    def compare(progress: Any) -> None:
        k = progress.index
        case.equal(f"{prefix}step{k}.tokens", progress.tokens)
        if prefix:
            return
        case.close(f"step{k}.logits_cond", progress.cond, tolerance)
        if progress.uncond is not None:
            case.close(f"step{k}.logits_uncond", progress.uncond, tolerance)
        case.close(f"step{k}.guided", progress.guided, tolerance)
        if k + 1 < len(grids):
            following = codec.next_input(progress.features, grids[k + 1])
            case.close(f"step{k}.next_map", following, case.tolerance("images_abs"))

    result = generate(network, codec, job, CPU, on_step=compare)
    # Gumbel-softmax divides the logits by 0.0135 at the last step, which enlarges their rounding: relative there.
    scale = result.features.abs().max().item() if job.smooth else 1.0
    case.close(f"{prefix}f_hat", result.features, case.tolerance("images_abs") * scale)
    if not prefix:
        picture = codec.decode(result.features) / 2 + 0.5
        case.close("image", picture, case.tolerance("images_abs"))


def greedy(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def reference_draw(filters: Filters, generator: torch.Generator, logits: Tensor) -> Tensor:
    """One generator for the whole batch, as the official sampler draws."""
    probabilities = filters.apply(logits).softmax(-1).flatten(0, 1)
    drawn = torch.multinomial(probabilities, 1, replacement=True, generator=generator)
    return drawn.view(logits.shape[:-1])


def reference_smooth(
    filters: Filters, generator: torch.Generator, codec: Any, logits: Tensor, position: float
) -> Tensor:
    exponentials = torch.empty_like(logits).exponential_(generator=generator)
    codebook = codec.quantize.codebook(logits.device)
    return smooth_codes(filters.apply(logits), exponentials, codebook, position)


def kept_tokens(case: Any, network: Any) -> KeptTokens:
    tokens = [case.expected[f"enc.tokens{k}"] for k in range(len(network.config.sides))]
    return KeptTokens(tokens, case.input("edit.mask"))


def check_filters(case: Any) -> None:
    settings = case.facts.get("runs", {}) or {}
    for i, (name, top_k, top_p) in enumerate(settings.get("filter", {}).get("settings", [])):
        logits = case.input(name)
        before = logits.clone()
        case.close(f"filter.out{i}", Filters(top_k=top_k, top_p=top_p).apply(logits), 0.0)
        assert (logits == before).all(), "the filters wrote into their input"


def check_gumbel(case: Any) -> None:
    settings = (case.facts.get("runs", {}) or {}).get("gumbel")
    if not settings:
        return
    logits, exponentials = case.input("gumbel.logits"), case.input("gumbel.exponential")
    for i, (ratio, tau) in enumerate(zip(settings["ratio"], settings["tau"], strict=True)):
        mixed = gumbel_softmax(logits, exponentials, 1 + ratio, tau)
        case.close(f"gumbel.probs{i}", mixed, case.tolerance("logits_abs"))
