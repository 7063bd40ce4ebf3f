"""Golden cases of SimpleAR, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.models.tokenizers.cosmos_dv import CosmosConfig, CosmosDV
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

CPU = torch.device("cpu")
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
        check_guided(case, network, tokenizer)
        check_penalty(case, main)
        check_encoder(case, tokenizer)
        check_released_codes(case)


def build(part: Any) -> Any:
    """A network as the loaders build it, in fp32."""
    network = part.family.build(part.config).eval()
    network.load_state_dict(part.tensors, strict=False)
    return network


def generate_greedy(case: Any, network: Any, scale: float) -> tuple[list, torch.Tensor]:
    steps = []
    inputs = case.facts["inputs"]
    branches = [
        Prompt.of([row for name in inputs[key] for row in case.input(name).tolist()])
        for key in ("prompt_ids", "negative_ids")
    ]
    job = TokenwiseJob(
        conditions=(branches[0], branches[1]),
        batch=len(branches[0].ids),
        run=RunInfo("token", ((1, 1),) * network.config.length),
        chain=Chain((CFG(scale=scale, schedule="constant"),)),
        draw=lambda logits: logits.argmax(-1),
    )
    result = generate(network, job, CPU, on_step=steps.append)
    return steps, result.tokens


def check_guided(case: Any, network: Any, codec: Any) -> None:
    scale = case.facts["guidance"]["scale"]
    steps, tokens = generate_greedy(case, network, scale)
    tolerance = case.tolerance("logits_cond")
    cond = torch.cat([step.cond for step in steps], 1)
    uncond = torch.cat([step.uncond for step in steps], 1)
    case.close("logits_cond", cond, tolerance)
    case.close("logits_uncond", uncond, tolerance)
    # The reference combines log-probabilities: the same up to a constant at every position.
    shift = scale * cond.logsumexp(-1, keepdim=True) + (1 - scale) * uncond.logsumexp(-1, True)
    guided = torch.cat([step.guided for step in steps], 1) - shift
    case.close("guided", guided, case.tolerance("guided"))
    settings = case.facts["sampling"]["filter"]
    filters = Filters(settings["temperature"], settings["top_k"], settings["top_p"])
    first = filters.apply(steps[0].guided)[:1, 0].softmax(-1)
    case.close("filter.step0_probs", first, case.tolerance("filter.step0_probs", "other_float"))
    case.equal("tokens", tokens)
    case.equal("codes", (tokens - codec.config.first).clamp(0, codec.config.codes - 1))
    codes = codec.lookup(tokens, network.config.grid)
    case.close("f_hat", codes[:, :, None], case.tolerance("other_float"))
    case.close("image", codec.decode_raw(codes), case.tolerance("image"))


def check_penalty(case: Any, main: Any) -> None:
    if case.has("rep1.1.tokens"):
        network = build(replace(main, config=replace(main.config, repetition=1.1)))
        tokens = generate_greedy(case, network, case.facts["guidance"]["scale"])[1]
        case.equal("rep1.1.tokens", tokens[:1])


def check_encoder(case: Any, codec: Any) -> None:
    features = codec.encode_features(case.input("enc.image"))
    case.close("enc.z", features[:, :, None], case.tolerance("enc.z", "other_float"))
    tokens = codec.nearest_code(features)
    grid = tuple(features.shape[-2:])
    case.equal("enc.tokens", (tokens - codec.config.first).unflatten(1, (1, *grid)))
    codes = codec.lookup(tokens, grid)
    case.close("enc.codes", codes[:, :, None], case.tolerance("enc.codes", "other_float"))
    case.close("enc.reconstruction", codec.decode_raw(codes), case.tolerance("image"))


def check_released_codes(case: Any) -> None:
    """The released level set, whatever the levels of this case's tokenizer."""
    with torch.device("meta"):
        codec = CosmosDV(CosmosConfig(RELEASED, 1, (), (1, 1, 1), 0, 0, 1))
    tolerance = case.tolerance("fsq.codes", "other_float")
    indices, z = case.input("fsq.indices"), case.input("fsq.z")
    grid = tuple(z.shape[-2:])
    case.close("fsq.codes", codec.lookup(indices.flatten(1), grid)[:, :, None], tolerance)
    tokens = codec.nearest_code(z[:, :, 0])
    case.equal("fsq.z_indices", tokens.unflatten(1, (1, *grid)))
    case.close("fsq.z_codes", codec.lookup(tokens, grid)[:, :, None], tolerance)
