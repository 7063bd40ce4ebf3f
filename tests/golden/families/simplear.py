"""Golden cases of SimpleAR, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.models.tokenizers.cosmos_dv import CosmosConfig, CosmosDV
from golden_shared import Sequence, extra_runs, filters_of, guide, token_run

RELEASED = (8, 8, 8, 5, 5, 5)


def run(case: Any) -> None:
    with torch.inference_mode():
        facts = case.facts["config"]
        part = find_part(read_weights(case.file("language_model")), "transformer")
        side = facts["latent_size"]
        main = replace(part, config=replace(part.config, grid=(side, side)))
        codec = fitted(main, find_part(read_weights(case.file("image_decoder")), "tokenizer"))
        assert main.config.heads == facts["num_attention_heads"]
        assert main.config.kv_heads == facts["num_key_value_heads"]
        assert (
            codec.config.first == facts["n_text"] and codec.config.codes == facts["codebook_size"]
        )
        network, tokenizer = build(main), build(codec)
        check_filters(case, check_run(case, network, tokenizer, {}).guided)
        for prefix, settings in extra_runs(case):
            check_run(case, network, tokenizer, settings, prefix)
        check_penalties(case, main, tokenizer)
        check_encoder(case, tokenizer)
        check_released_codes(case)


def build(part: Any) -> Any:
    """A network as the loaders build it, in fp32."""
    network = part.family.build(part.config).eval()
    network.load_state_dict(part.tensors, strict=False)
    return network


def sequence_of(case: Any, network: Any, settings: dict[str, Any], prefix: str = "") -> Sequence:
    """A greedy run of all prompts of the case in one batch, each padded on the left."""
    inputs, stated = case.facts["inputs"], {**case.facts["guidance"], **settings}
    cond, null = (
        Prompt.of([row for name in inputs[key] for row in case.input(name).tolist()])
        for key in ("prompt_ids", "negative_ids")
    )
    batch = len(cond.ids)
    if len(null.ids) != batch:  # one negative prompt for all
        null = null.repeated(batch)
    guidance = guide(stated, stated["scale"], "constant")
    return token_run(case, network, (cond, null), batch, guidance, network.config.length, prefix)


def check_run(
    case: Any, network: Any, codec: Any, settings: dict[str, Any], prefix: str = ""
) -> Sequence:
    made, tolerance = sequence_of(case, network, settings, prefix), case.tolerance("logits_cond")
    case.compare(f"{prefix}logits_cond", made.cond, tolerance)
    case.compare(f"{prefix}logits", made.cond, tolerance)
    case.compare(f"{prefix}logits_uncond", made.uncond, tolerance)
    # The reference combines log-probabilities: the same up to a constant at every position.
    shift = made.cond.logsumexp(-1, keepdim=True)
    if made.uncond is not None:
        gamma = made.gamma[:, None]
        shift = gamma * shift + (1 - gamma) * made.uncond.logsumexp(-1, keepdim=True)
    case.compare(f"{prefix}guided", made.guided - shift, case.tolerance("guided"))
    case.compare(f"{prefix}tokens", made.tokens)
    check_image(case, network, codec, made.tokens, prefix)
    return made


def check_image(case: Any, network: Any, codec: Any, tokens: torch.Tensor, prefix: str) -> None:
    codes = (tokens - codec.config.first).clamp(0, codec.config.codes - 1)
    case.compare(f"{prefix}codes", codes)
    vectors = codec.lookup(tokens, network.config.grid)
    case.compare(f"{prefix}f_hat", vectors[:, :, None], case.tolerance("other_float"))
    case.compare(f"{prefix}image", lambda: codec.decode_raw(vectors), case.tolerance("image"))


def check_filters(case: Any, guided: torch.Tensor) -> None:
    """`filter.step<k>_probs`: softmax after the filters, of the guided logits of that step and the first rows."""
    stated = case.facts["sampling"].get("filter")
    for match in case.names(r"filter\.step(\d+)_probs"):
        settings = stated[int(match[1])] if isinstance(stated, list) else stated
        filters = filters_of(settings)
        rows = guided[: len(case.expected[match[0]]), int(match[1])]
        near = case.tolerance(match[0], "other_float")
        case.compare(match[0], filters.apply(rows).softmax(-1), near)


def check_penalties(case: Any, main: Any, codec: Any) -> None:
    """`rep<penalty>.*`: the main run under that repetition penalty, the first prompts alone where it has fewer rows."""
    for penalty in sorted({match[1] for match in case.names(r"rep([\d.]+\d)\.[a-z_]+")}):
        network = build(replace(main, config=replace(main.config, repetition=float(penalty))))
        made = sequence_of(case, network, {}, f"rep{penalty}.")
        rows = slice(len(case.expected[f"rep{penalty}.tokens"]))
        case.compare(f"rep{penalty}.tokens", made.tokens[rows])
        case.compare(f"rep{penalty}.logits_cond", made.cond[rows], case.tolerance("logits_cond"))
        check_image(case, network, codec, made.tokens[rows], f"rep{penalty}.")


def check_encoder(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    features, near = codec.encode_features(case.input("enc.image")), ("other_float",)
    case.compare("enc.z", features[:, :, None], case.tolerance("enc.z", *near))
    tokens = codec.nearest_code(features)
    grid = tuple(features.shape[-2:])
    case.compare("enc.tokens", (tokens - codec.config.first).unflatten(1, (1, *grid)))
    codes = codec.lookup(tokens, grid)
    case.compare("enc.codes", codes[:, :, None], case.tolerance("enc.codes", *near))
    case.compare("enc.reconstruction", codec.decode_raw(codes), case.tolerance("image"))


def check_released_codes(case: Any) -> None:
    """The released level set, whatever the levels of this case's tokenizer."""
    with torch.device("meta"):
        codec = CosmosDV(CosmosConfig(RELEASED, 1, (), (1, 1, 1), 0, 0, 1))
    if not case.has("fsq.indices"):
        return
    tolerance = case.tolerance("fsq.codes", "other_float")
    indices, z = case.input("fsq.indices"), case.input("fsq.z")
    grid = tuple(z.shape[-2:])
    case.close("fsq.codes", codec.lookup(indices.flatten(1), grid)[:, :, None], tolerance)
    tokens = codec.nearest_code(z[:, :, 0])
    case.equal("fsq.z_indices", tokens.unflatten(1, (1, *grid)))
    case.close("fsq.z_codes", codec.lookup(tokens, grid)[:, :, None], tolerance)
