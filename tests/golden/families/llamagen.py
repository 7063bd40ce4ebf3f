"""Golden cases of LlamaGen, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.loaders.text.captions import clean_caption
from ar_guidance.models.llamagen import left_pad
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

CPU = torch.device("cpu")


def run(case: Any) -> None:
    if "pairs" in case.facts:
        for pair in case.facts["pairs"]:
            assert clean_caption(pair["in"]) == pair["out"]
        return
    with torch.inference_mode():
        codec = load(case, "vq", {})
        grid = None
        if case.file("transformer") is not None:
            facts = case.facts["config"]["transformer"]
            grid = (facts["grid"], facts["grid"])
            network = load(case, "transformer", {"heads": facts["n_head"], "grid": grid})
            check_transformer(case, network, codec)
        check_encoder(case, codec)
        check_filters(case)


def load(case: Any, part: str, known: dict[str, Any]) -> Any:
    """A network as the loaders build it, in fp32; `known`: sizes the file does not hold."""
    found = find_part(read_weights(case.file(part)), part="tokenizer" if part == "vq" else part)
    network = found.family.build(replace(found.config, **known)).eval()
    network.load_state_dict(found.tensors, strict=False)
    return network


def conditions(case: Any, network: Any) -> tuple[Any, Any, int]:
    """Both branches' conditions and the batch size."""
    inputs = case.facts["inputs"]
    if "class_ids" in inputs:
        labels = torch.tensor(inputs["class_ids"])
        assert network.config.classes == inputs["null_class_id"]
        return labels, network.null_condition(len(labels)), len(labels)
    assert inputs["left_padding"]
    caption = left_pad(case.input(inputs["text_features"]), case.input(inputs["text_mask"]))
    features, mask = inputs["model_inputs"]
    case.close(features, caption.features, 0.0)
    case.equal(mask, caption.mask)
    return caption, network.null_condition(len(caption.mask)), len(caption.mask)


def check_transformer(case: Any, network: Any, codec: Any) -> None:
    scale = case.facts["guidance"]["cfg_scale"]
    tokens = check_run(case, network, scale, ("logits_cond", "logits_uncond", "guided", "tokens"))
    codes = codec.lookup(tokens, network.config.grid)
    case.close("f_hat", codes, case.tolerance("image"))
    case.close("image", codec.decode_raw(codes), case.tolerance("image"))
    if case.has("run_nocfg.tokens"):
        check_run(case, network, 1.0, ("run_nocfg.logits", "", "", "run_nocfg.tokens"))


def check_run(case: Any, network: Any, scale: float, names: tuple[str, ...]) -> torch.Tensor:
    steps = []
    cond, null, batch = conditions(case, network)
    job = TokenwiseJob(
        conditions=(cond, null),
        batch=batch,
        run=RunInfo("token", ((1, 1),) * case.facts["sampling"]["steps"]),
        chain=Chain((CFG(scale=scale, schedule="constant"),)),
        draw=lambda logits: logits.argmax(-1),
    )
    result = generate(network, job, CPU, on_step=steps.append)
    tolerance = case.tolerance("logits_cond")
    case.close(names[0], torch.cat([step.cond for step in steps], 1), tolerance)
    if names[1]:
        case.close(names[1], torch.cat([step.uncond for step in steps], 1), tolerance)
        guided = torch.cat([step.guided for step in steps], 1)
        case.close(names[2], guided, tolerance * (2 * scale - 1))
    case.equal(names[3], result.tokens)
    full = network(cond, result.tokens)
    case.close(names[0], full, tolerance)  # the whole sequence at once gives the same
    return result.tokens


def check_encoder(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    features = codec.encode_features(case.input("enc.image"))
    case.close("enc.latent", features, case.tolerance("enc.latent"))
    tokens = codec.nearest_code(features)
    case.equal("enc.tokens", tokens)
    image = codec.decode_raw(codec.lookup(tokens, tuple(features.shape[-2:])))
    case.close("enc.reconstruction", image, case.tolerance("enc.reconstruction"))


def check_filters(case: Any) -> None:
    for settings in case.facts["sampling"].get("filters", ()):
        filters = Filters(settings["temperature"], settings["top_k"], settings["top_p"])
        probabilities = filters.apply(case.input("filter.logits")).softmax(-1)
        case.close(settings["expected"], probabilities, case.tolerance("filter.*"))
