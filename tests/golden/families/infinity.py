"""Golden cases of Infinity: bitwise tokenizer, and runs through the loaders and the loop."""

import re
from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.models.family import view
from ar_guidance.models.infinity.grids import template_for
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.tokenizers.multiscale_vq import resize_area
from ar_guidance.sampling.draw import Filters, Streams
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from golden_shared import CPU, Setup, load, load_pair, recorded
from torch import Tensor


def setup(case: Any) -> Setup:
    model, network, codec = networks(case, case.facts["config"])
    return Setup(model, codec, job_of(case, model, network, case.facts["guidance"]))


def run(case: Any) -> None:
    with torch.inference_mode():
        codec = load(case, "tokenizer", "vae")
        assert codec.config.dim == case.facts["derived"]["d_vae"]
        check_tokenizer(case, codec)
        check_training(case, codec)
        if case.file("transformer") is not None:
            main = {**case.facts["config"], **case.facts["guidance"]}
            check_run(case, main)
            for extra in case.facts.get("extra_runs") or ():
                check_run(case, {**main, **extra["changed"]}, f"{extra['name']}.")
        check_filters(case)


# --- tokenizer -----------------------------------------------------------------------------------------------------


def tokenizer_grids(case: Any) -> list[tuple[int, int]]:
    return [(h, w) for _, h, w in case.facts["enc_scale_schedule"]]


def check_tokenizer(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    tolerance, grids = case.tolerance("enc_float_abs"), tokenizer_grids(case)
    features = codec.encode_features(case.input("enc.image"))
    case.compare("enc.features", features, tolerance)
    tokens, f_hat = codec.quantise(features, grids)
    total = codec.empty_features(len(features), grids, CPU)
    for k, bits in enumerate(tokens):
        case.compare(f"enc.tokens{k}", bits)
        total = total + codec.refine(codec.lookup(bits, grids[k]), k, grids)
        if k + 1 < len(grids):
            area = resize_area(total, grids[k + 1])
            case.compare(f"enc.next_input_area{k + 1}", area, tolerance)
    case.compare("enc.f_hat", f_hat, tolerance)
    case.compare("enc.reconstruction", codec.decode(total), tolerance)


def check_training(case: Any, codec: Any) -> None:
    """Inputs and targets of training, with and without the self-correction's flips."""
    tolerance, fine = case.tolerance("enc_float_abs"), tokenizer_grids(case)
    for name in ("bsc", "bsc_patch", "bsc_flip", "bsc_patch_flip"):
        if not case.has(f"{name}.next_inputs"):
            continue
        patch = 2 if "patch" in name else 1
        codec.config = replace(codec.config, patch=patch)
        grids = [(h // patch, w // patch) for h, w in fine]
        flipped = flipped_tokens(case, codec) if "flip" in name else {}
        features = codec.encode_features(case.expected["enc.image"])
        labels, _ = codec.quantise(features, grids, flipped)
        for k, bits in enumerate(labels):
            case.compare(f"{name}.labels{k}", bits)
        used = [flipped.get(k, bits) for k, bits in enumerate(labels)]
        case.close(f"{name}.next_inputs", codec.teacher_inputs(used, grids), tolerance)
    codec.config = replace(codec.config, patch=1)


def flipped_tokens(case: Any, codec: Any) -> dict[int, Tensor]:
    """The given bits (B, h, w, d) of the tokenizer's grid as tokens; those of patches are the same bits."""
    names = [n for n in case.expected if n.startswith("bsc_flip.flipped_bits")]
    bits = {int(name.removeprefix("bsc_flip.flipped_bits")): case.input(name) for name in names}
    return {k: codec._tokens(given.permute(0, 3, 1, 2)) for k, given in bits.items()}


# --- runs ----------------------------------------------------------------------------------------------------------


def networks(case: Any, settings: dict[str, Any]) -> tuple[Any, Any, Any]:
    """What the transformer is, and both networks, for images of the case's size."""
    everywhere = not settings.get("add_lvl_embeding_only_first_block", 1)
    model, network, codec = load_pair(case, "transformer", "vae", level_every_chunk=everywhere)
    config, derived = case.facts["config"], case.facts["derived"]
    assert codec.config.patch == 1 + config["apply_spatial_patchify"]
    sized = model.family.sized(model.config, *derived["image_hw"], codec.config.factor)
    wanted = [tuple(grid[1:]) for grid in derived["scale_schedule"]]
    assert list(template_for(derived["h_div_w_template"]).at(config["pn"])) == wanted
    assert list(sized.grids) == wanted
    return replace(model, config=sized), view(network, sized), codec


def job_of(case: Any, model: Any, network: Any, settings: dict[str, Any]) -> ScalewiseJob:
    text = prompts(case, "text")
    given = case.has("negative.features")
    null = prompts(case, "negative") if given else network.null_condition(len(text.features))
    # Each step's own temperature, and, as in the reference, the likelier of a bit's two values.
    steps = len(model.config.grids)  # the reference's lists may be longer
    temperatures = tuple(settings["tau_list"][:steps])
    settings = {**settings, "cfg_list": settings["cfg_list"][:steps]}
    sampler_settings = SamplerSettings(temperatures=temperatures, top_k=1, top_p=0.0)
    batch = len(text.features)
    return plan(
        model, (text, null), batch, guidances(settings), sampler_settings, Streams(0, batch)
    )


def guidances(settings: dict[str, Any]) -> tuple[Guidance, ...]:
    values = tuple(settings["cfg_list"])
    found: list[Guidance] = []
    for place in settings["cfg_insertion_layer"]:
        if place == 0:
            found.append(CFG(schedule="list", values=values))
        elif place < 0:
            found.append(HiddenCFG(depth=-place, schedule="list", values=values))
    return tuple(found)


def prompts(case: Any, name: str) -> TextCondition:
    """Rows of all prompts one behind the other -> padded."""
    lengths = case.input(f"{name}.lens").tolist()
    rows = case.input(f"{name}.features").split(lengths)
    features = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    live = torch.arange(features.shape[1]) < torch.tensor(lengths)[:, None]
    return TextCondition(features, live)


def check_run(case: Any, settings: dict[str, Any], prefix: str = "") -> None:
    """Whatever the case records of a run."""
    model, network, codec = networks(case, settings)
    job = job_of(case, model, network, settings)
    steps = [f"{prefix}step{k}.logits_uncond" for k in range(job.run.count)]
    job = recorded(case, job, *steps)
    tolerance = case.tolerance("logits_cond_uncond_abs")

    def compare(progress: Any) -> None:
        name = f"{prefix}step{progress.index}"
        case.compare(f"{name}.logits_cond", progress.cond, tolerance)
        case.compare(f"{name}.logits_uncond", progress.uncond, tolerance)
        guided = progress.guided / job.draw.at(progress.index).temperature
        case.compare(f"{name}.guided", guided, case.tolerance("guided_abs"))
        case.compare(f"{name}.tokens", progress.tokens)

    features = generate(network, codec, job, CPU, on_step=compare).features
    case.compare(f"{prefix}f_hat", features, case.tolerance("f_hat_abs"))
    case.compare(f"{prefix}image", lambda: codec.decode(features), case.tolerance("image_abs"))


def check_filters(case: Any) -> None:
    """`filter.probs_topk900_topp097`: softmax after the filters of that name; `..._seed1234`: bits drawn from it."""
    probabilities = None
    for name in case.expected:
        found = re.fullmatch(r"filter\.probs_topk(\d+)_topp(\d)(\d+)", name)
        if found:
            top_p = float(f"{found[2]}.{found[3]}")
            filters = Filters(top_k=int(found[1]), top_p=top_p)
            probabilities = filters.apply(case.input("filter.logits")).softmax(-1)
            case.close(name, probabilities, case.tolerance("logits_cond_uncond_abs"))
    for name in case.expected:
        found = re.fullmatch(r"filter\.sampled_cpu_seed(\d+)", name)
        if found and probabilities is not None:
            generator = torch.Generator().manual_seed(int(found[1]))
            drawn = torch.multinomial(probabilities.flatten(0, 1), 1, generator=generator)
            case.equal(name, drawn.view(probabilities.shape[:-1]))
