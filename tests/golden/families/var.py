"""Golden cases of VAR, through the loaders and the loop the nodes use."""

from functools import partial
from typing import Any

import torch
from ar_guidance.guidance.base import Run
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.models.tokenizers.multiscale_vq import phi_index
from ar_guidance.sampling.draw import Filters, gumbel_softmax, smooth_codes
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.scalewise import ScalewiseRun
from golden_shared import check_run, check_tokenizer, greedy, load
from torch import Tensor


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
            smooth=partial(reference_smooth, filters, generator, codec, len(network.config.grids))
            if settings.get("more_smooth")
            else None,
        )
        check_run(case, "" if name == "main" else f"{name}.", network, codec, job)


def reference_draw(
    filters: Filters, generator: torch.Generator, logits: Tensor, step: int
) -> Tensor:
    """One generator for the whole batch, as the official sampler draws."""
    probabilities = filters.apply(logits).softmax(-1).flatten(0, 1)
    drawn = torch.multinomial(probabilities, 1, replacement=True, generator=generator)
    return drawn.view(logits.shape[:-1])


def reference_smooth(
    filters: Filters, generator: torch.Generator, codec: Any, count: int, logits: Tensor, step: int
) -> Tensor:
    exponentials = torch.empty_like(logits).exponential_(generator=generator)
    codebook = codec.quantize.codebook(logits.device)
    return smooth_codes(filters.apply(logits), exponentials, codebook, step / (count - 1))


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
