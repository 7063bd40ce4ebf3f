"""Golden cases of LlamaGen, through the loaders and the loop the nodes use."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.loaders.text.captions import clean_caption
from ar_guidance.models.llamagen import left_pad
from golden_shared import extra_runs, filters_of, guide, token_run


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
    runs = [("", {}), *extra_runs(case)]
    for prefix, settings in runs:
        tokens = check_run(case, network, settings, prefix)
        codes = codec.lookup(tokens, network.config.grid)
        case.compare(f"{prefix}f_hat", codes, case.tolerance("image"))
        case.compare(f"{prefix}image", partial(codec.decode_raw, codes), case.tolerance("image"))


def check_run(case: Any, network: Any, settings: dict[str, Any], prefix: str) -> torch.Tensor:
    stated, steps = {**case.facts["guidance"], **settings}, case.facts["sampling"]["steps"]
    cond, null, batch = conditions(case, network)
    scale = max(stated.get("scale", stated["cfg_scale"]), 1.0)  # the reference's 1 or less: none
    guidance = guide(stated, scale, "constant")
    if (last := stated.get("cfg_interval", -1)) > -1:  # counted from the second token on
        guided = [scale if k < last + 2 else 1.0 for k in range(steps)]
        guidance = CFG(schedule="list", values=tuple(guided))
    made = token_run(case, network, (cond, null), batch, guidance, steps, prefix)
    made.compare(case, prefix)
    case.compare(f"{prefix}logits", made.cond, case.tolerance("logits_cond"))
    full = network(cond, made.tokens)  # the whole sequence at once gives the same
    case.compare(f"{prefix}logits_cond", full, case.tolerance("logits_cond"))
    case.compare(f"{prefix}logits", full, case.tolerance("logits_cond"))
    return made.tokens


def check_encoder(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    features = codec.encode_features(case.input("enc.image"))
    case.compare("enc.latent", features, case.tolerance("enc.latent"))
    tokens = codec.nearest_code(features)
    case.compare("enc.tokens", tokens)
    image = codec.decode_raw(codec.lookup(tokens, tuple(features.shape[-2:])))
    case.compare("enc.reconstruction", image, case.tolerance("enc.reconstruction"))


def check_filters(case: Any) -> None:
    for settings in case.facts["sampling"].get("filters") or ():
        if not case.has(settings["expected"]):
            continue
        filters = filters_of(settings)
        probabilities = filters.apply(case.input("filter.logits")).softmax(-1)
        case.close(settings["expected"], probabilities, case.tolerance("filter.*"))
