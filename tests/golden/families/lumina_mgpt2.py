"""Golden cases of Lumina-mGPT 2, through the loaders and the loop the nodes use.

The loop draws image tokens only and its network holds only their rows of the output matrix. The cases also have the other
columns, and the positions where a line end or the end of the image is forced: those come from the same network with all rows.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.schedule import cumulative
from ar_guidance.loaders.detect import Part, fitted
from ar_guidance.loaders.text.prompts import encode, encode_negative, read_own_tokenizer
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.sampling.draw import Filters, Streams
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.tokenwise import generate
from golden_shared import CPU, build, find
from torch import Tensor


def run(case: Any) -> None:
    with torch.inference_mode():
        found = find(case, "transformer", "language_model_index")
        codec = fitted(found, find(case, "tokenizer", "image_tokenizer"))
        check_sizes(case, found.config, codec.config)
        height, width = case.facts["config"]["image_size"]
        config = found.family.sized(found.config, height, width, codec.config.factor)
        assert config.grid == tuple(case.facts["config"]["latent_grid"])
        part = replace(found, config=config)
        conditions = check_prompt(case, part.family.prompt, config)
        steps, codes = generate_greedy(case, part, conditions)
        check_codec(case, build(codec), codes, config.grid)
        everything = replace(config, first=0, vocab=config.words)
        whole = part.family.trim(everything, part.weights.tensors)
        network = build(replace(part, config=everything, tensors=whole))
        check_all_positions(case, config, network, conditions, codes, steps)


def check_sizes(case: Any, config: Any, codec: Any) -> None:
    facts, ids = case.facts["config"], case.facts["config"]["tokens"]
    assert (config.depth, config.width) == (facts["num_hidden_layers"], facts["hidden_size"])
    assert (config.heads, config.kv_heads) == (
        facts["num_attention_heads"],
        facts["num_key_value_heads"],
    )
    assert (config.start, config.separator, config.line_end) == (
        ids["image_start"],
        ids["sep"],
        ids["new_line"],
    )
    assert (config.first, config.first + config.vocab - 1) == (
        ids["first_image_token"],
        ids["last_image_token"],
    )
    assert dict(enumerate(config.sizes, 1)) == {
        int(n): id for n, id in ids["grid_token_of"].items()
    }
    sizes = facts["image_tokenizer"]
    assert codec.channel_mult == tuple(sizes["ddconfig"]["ch_mult"])
    assert (codec.res_blocks, codec.factor) == (
        sizes["ddconfig"]["num_res_blocks"],
        sizes["downscale"],
    )


def check_prompt(case: Any, spec: Any, config: Any) -> tuple[Prompt, Prompt]:
    """Both branches' conditions, from the text, with the tokenizer of the checkpoint's folder."""
    tokenizer = read_own_tokenizer(case.file("tokenizer").parent)
    tokenizer.check(spec, config)
    text = case.facts["inputs"]["texts"][0]
    prompt = text.split("\n", 1)[1]
    assert spec.text(config, prompt).startswith(text)
    cond = encode(spec, config, tokenizer, [prompt])
    null = encode_negative(spec, config, tokenizer, "", 1)
    case.equal("context_ids.0", cond.ids)
    case.equal("head_ids", null.ids)
    case.equal("prompt_ids.0", cond.ids[:, : -len(config.head)])
    return cond, null


def generate_greedy(
    case: Any, part: Part, conditions: tuple[Prompt, Prompt]
) -> tuple[list, Tensor]:
    """The loop's steps and the codes it draws, as the nodes plan the run."""
    steps, scale = [], case.facts["guidance"]["initial_scale"]
    job = plan(
        part, conditions, 1, (CFG(scale=scale),), SamplerSettings(temperature=0.0), Streams(0, 1)
    )
    codes = generate(build(part), job, CPU, on_step=steps.append).tokens
    case.equal("codes", codes)
    return steps, codes


def check_all_positions(
    case: Any,
    config: Any,
    network: Any,
    conditions: tuple[Prompt, Prompt],
    codes: Tensor,
    steps: list,
) -> None:
    sequence = network.sequence(codes + config.first)
    cond, uncond = (network.head(network.outputs(c, sequence)).float() for c in conditions)
    case.close("logits_cond", cond, case.tolerance("logits_cond"))
    case.close("logits_uncond", uncond, case.tolerance("logits_uncond"))
    scale = case.facts["guidance"]["initial_scale"]
    # Counted by positions, line ends are among them; the loop counts them by the lines behind a token.
    count = cond.shape[1]
    gamma = torch.tensor([cumulative(k, config.length, scale, line=0) for k in range(count)])
    case.close("guidance_scale", gamma, case.tolerance("other_float"))
    guided = uncond + gamma[:, None] * (cond - uncond)
    case.close("guided", guided, case.tolerance("guided"))
    drawn = torch.arange(config.length)
    drawn = drawn + drawn // config.grid[1]  # positions that are not forced
    columns = slice(config.first, config.first + config.vocab)
    for name, full in (("cond", cond), ("uncond", uncond), ("guided", guided)):
        looped = torch.cat([getattr(step, name) for step in steps], 1)
        limit = case.tolerance("guided" if name == "guided" else f"logits_{name}")
        assert (looped - full[:, drawn, columns]).abs().max() <= limit
        assert (
            looped
            - case.expected[name if name == "guided" else f"logits_{name}"][:, drawn, columns]
        ).abs().max() <= limit
    check_forced(case, config, codes, torch.cat([step.guided for step in steps], 1), drawn)


def check_forced(case: Any, config: Any, codes: Tensor, guided: Tensor, drawn: Tensor) -> None:
    """Tokens and filters at every position: one token alone where it is forced, image tokens elsewhere."""
    height, width = config.grid
    forced = torch.full((height * (width + 1) + 1,), config.line_end)
    forced[-1] = case.facts["config"]["tokens"]["image_end"]
    tokens = forced.clone()
    tokens[drawn] = codes[0] + config.first
    case.equal("tokens", tokens[None])
    probabilities = torch.zeros(len(tokens), config.words).scatter_(1, forced[:, None], 1.0)
    kept = probabilities.clone().to(torch.uint8)
    columns = slice(config.first, config.first + config.vocab)
    for rows, value in (
        (kept, Filters(top_k=5).apply(guided[0]) > -math.inf),
        (probabilities, Filters(temperature=0.7, top_k=5).apply(guided[0]).softmax(-1)),
    ):
        rows[drawn] = 0
        rows[drawn, columns] = value.to(rows.dtype)
    case.equal("filter.top5_kept", kept)
    case.close("filter.top5_t0.7_probs", probabilities, case.tolerance("other_float"))


def check_codec(case: Any, codec: Any, codes: Tensor, grid: tuple[int, int]) -> None:
    vectors = codec.lookup(codes, grid)
    case.close("f_hat", vectors, case.tolerance("other_float"))
    image = codec.decode_raw(vectors)
    case.close("image", image, case.tolerance("image"))
    pixels = ((image + 1) * 127.5).round().clamp(0, 255)
    case.close("image_u8", pixels, 1.0)
    features = codec.encode_features(case.input("enc.image"))
    case.close("enc.z", features, case.tolerance("other_float"))
    tokens = codec.nearest_code(features)
    side = tuple(features.shape[-2:])
    case.equal("enc.tokens", tokens.unflatten(1, side))
    again = codec.decode_raw(codec.lookup(tokens, side))
    case.close("enc.reconstruction", again, case.tolerance("other_float"))
