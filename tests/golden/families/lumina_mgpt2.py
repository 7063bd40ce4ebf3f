"""Golden cases of Lumina-mGPT 2, through the loaders and the loop the nodes use.

The loop draws image tokens only and its network holds only their rows of the output matrix. The cases also have the other
columns, and the positions where a line end or the end of the image is forced: those come from the same network with all rows.
"""

import math
import re
from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.schedule import cumulative
from ar_guidance.loaders.detect import Part, fitted
from ar_guidance.loaders.text.prompts import encode, encode_negative, read_own_tokenizer
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.sampling.draw import Filters, Streams
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.tokenwise import generate
from golden_shared import CPU, build, find, recorded
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
        tokenizer = build(codec)
        kept = given_panel(case, tokenizer, config, conditions)
        steps, codes = generate_greedy(case, part, conditions, kept)
        check_codec(case, tokenizer, codes, config.grid)
        everything = replace(config, first=0, vocab=config.words)
        whole = part.family.trim(everything, part.weights.tensors)
        network = build(replace(part, config=everything, tensors=whole))
        known = 0 if kept is None else int(kept.mask.sum())
        check_all_positions(case, config, network, conditions, codes, steps, known)


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
    """Both branches' conditions, from the text, with the tokenizer of the checkpoint's folder; one row a text."""
    tokenizer = read_own_tokenizer(case.file("tokenizer").parent)
    tokenizer.check(spec, config)
    texts = case.facts["inputs"]["texts"]
    prompts = [text.split("\n", 1)[1] for text in texts]
    sentence = sentence_of(texts[0])
    cond = encode(spec, config, tokenizer, prompts, sentence)
    null = encode_negative(spec, config, tokenizer, "", len(texts))
    for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        made = spec.panels(config, sentence, prompt) if sentence else spec.text(config, prompt)
        assert made.startswith(text)
        ids = cond.ids[row : row + 1, ~cond.padding[row]]
        case.compare(f"prompt_ids.{row}", ids[:, : -len(config.head)])
        if not reference(case):
            case.compare(f"context_ids.{row}", ids)
    if not reference(case):
        case.compare("head_ids", null.ids[:1])
    return cond, null


def sentence_of(text: str) -> str:
    """What the panels of an image of two show, "" of an ordinary one."""
    found = re.match(
        r"Generate a dual-panel image of \d+x\d+ (.*) for direct visual comparison:\n", text
    )
    return found[1] if found else ""


def reference(case: Any) -> str:
    """Name of the tensor with the given panel (its pixels, or its tokens), "" where there is none."""
    stated = case.facts["inputs"].get("reference_image")
    if isinstance(stated, dict):  # by what it holds
        stated = next((stated[key] for key in ("image", "tokens", "codes") if key in stated), None)
    return stated if isinstance(stated, str) else ""


def panel_codes(case: Any, codec: Any, name: str) -> Tensor:
    """The given panel's codes (1, positions); what else the case has of it, under names that begin as its own does."""
    given = case.input(name)
    stem = re.sub(r"[^._]*$", "", name)
    if given.shape[-3:-2] != (3,) and not given.is_floating_point():
        return given.flatten()[None]
    panel = given.float() / 127.5 - 1 if given.dtype == torch.uint8 else given
    features = codec.encode_features(panel.view(1, *panel.shape[-3:]))
    codes = codec.nearest_code(features)
    for key in ("z", "latent"):
        case.compare(f"{stem}{key}", features, case.tolerance("other_float"))
    for key in ("tokens", "codes"):
        if case.has(f"{stem}{key}"):
            case.compare(f"{stem}{key}", codes.view(case.expected[f"{stem}{key}"].shape))
    return codes


def given_panel(case: Any, codec: Any, config: Any, conditions: tuple[Prompt, Prompt]) -> Any:
    """The upper panel as the loop holds it, or None; what the case has of it, and of the contexts it ends."""
    name = reference(case)
    if not name:
        return None
    codes = panel_codes(case, codec, name)
    lines = torch.nn.functional.pad(
        (codes + config.first).unflatten(1, (-1, config.grid[1])), (0, 1), value=config.line_end
    ).flatten(1)
    cond, null = conditions
    for row in range(len(cond.ids)):
        ids = cond.ids[row : row + 1, ~cond.padding[row]]
        case.compare(f"context_ids.{row}", torch.cat((ids, lines[:1]), 1))
    case.compare("head_ids", torch.cat((null.ids[:1], lines[:1]), 1))
    length, known = config.length, codes.shape[1]
    tokens = torch.nn.functional.pad(codes, (0, length - known))
    return KeptSequence(tokens, torch.arange(length) < known)


def generate_greedy(
    case: Any, part: Part, conditions: tuple[Prompt, Prompt], kept: Any
) -> tuple[list, Tensor]:
    """The loop's steps and the codes it draws, as the nodes plan the run."""
    steps, scale = [], case.facts["guidance"]["initial_scale"]
    batch = len(conditions[0].ids)
    settings = SamplerSettings(temperature=0.0, parallel=False)
    job = plan(part, conditions, batch, (CFG(scale=scale),), settings, Streams(0, batch))
    job = recorded(case, replace(job, kept=kept), "logits_uncond")
    codes = generate(build(part), job, CPU, on_step=steps.append).tokens
    if case.has("codes"):  # of both panels, or of the drawn one
        case.compare("codes", codes[:, -case.expected["codes"].shape[1] :])
    return steps, codes


def check_all_positions(
    case: Any,
    config: Any,
    network: Any,
    conditions: tuple[Prompt, Prompt],
    codes: Tensor,
    steps: list,
    known: int,
) -> None:
    """Every position behind the context, line ends and the end too; `known`: tokens of a given panel, which lie in it."""
    sequence = network.sequence(codes + config.first)
    first = known + known // config.grid[1]  # positions of the given panel
    cond, uncond = (
        network.head(network.outputs(c, sequence)).float()[:, first:] for c in conditions
    )
    scale, count = case.facts["guidance"]["initial_scale"], cond.shape[1]
    case.compare("logits_cond", cond, case.tolerance("logits_cond"))
    if scale != 1.0 or case.has("logits_uncond"):
        case.compare("logits_uncond", uncond, case.tolerance("logits_uncond"))
    # Counted by positions, line ends are among them; the loop counts them by the lines behind a token.
    gamma = torch.tensor(
        [cumulative(k, config.length, scale, line=0) for k in range(first, first + count)]
    )
    case.compare("guidance_scale", gamma, case.tolerance("other_float"))
    guided = uncond + gamma[:, None] * (cond - uncond)
    case.compare("guided", guided, case.tolerance("guided"))
    tokens = torch.arange(known, config.length)
    drawn = tokens + tokens // config.grid[1] - first  # positions that are not forced
    columns = slice(config.first, config.first + config.vocab)
    for name, full in (("cond", cond), ("uncond", uncond), ("guided", guided)):
        rows = [getattr(step, name) for step in steps[known:]]
        if any(row is None for row in rows):
            continue
        limit = case.tolerance("guided" if name == "guided" else f"logits_{name}")
        assert (torch.cat(rows, 1) - full[:, drawn, columns]).abs().max() <= limit
    looped = torch.cat([step.guided for step in steps[known:]], 1)
    check_forced(case, config, codes[:, known:], looped, drawn, count)


def check_forced(
    case: Any, config: Any, codes: Tensor, guided: Tensor, drawn: Tensor, count: int
) -> None:
    """Tokens and filters at every position: one token alone where it is forced, image tokens elsewhere.

    `filter.top<k>_kept` and `filter.top<k>_t<temperature>_probs`: which tokens stay, and with what probability, first image.
    """
    forced = torch.full((count,), config.line_end)
    forced[-1] = case.facts["config"]["tokens"]["image_end"]
    tokens = forced.repeat(len(codes), 1)
    tokens[:, drawn] = codes + config.first
    case.compare("tokens", tokens)
    columns = slice(config.first, config.first + config.vocab)
    for match in case.names(r"filter\.top(\d+)(?:_t([\d.]+))?_(kept|probs)"):
        filters = Filters(temperature=float(match[2] or 1.0), top_k=int(match[1]))
        logits = filters.apply(guided[0])
        value = logits > -math.inf if match[3] == "kept" else logits.softmax(-1)
        rows = torch.zeros(count, config.words).scatter_(1, forced[:, None], 1.0)
        rows[drawn] = 0
        rows[drawn, columns] = value.to(rows.dtype)
        case.compare(match[0], rows, case.tolerance("other_float"))


def check_codec(case: Any, codec: Any, codes: Tensor, grid: tuple[int, int]) -> None:
    if case.has("f_hat"):  # of both panels, or of the drawn one
        rows = case.expected["f_hat"].shape[-2]
        codes, grid = codes[:, -rows * grid[1] :], (rows, grid[1])
    vectors = codec.lookup(codes, grid)
    case.compare("f_hat", vectors, case.tolerance("other_float"))
    image = codec.decode_raw(vectors)
    case.compare("image", image, case.tolerance("image"))
    pixels = ((image + 1) * 127.5).round().clamp(0, 255)
    if case.has("image_u8"):
        case.close("image_u8", pixels, 1.0)
    if not case.has("enc.image"):
        return
    features = codec.encode_features(case.input("enc.image"))
    case.compare("enc.z", features, case.tolerance("other_float"))
    tokens = codec.nearest_code(features)
    side = tuple(features.shape[-2:])
    case.compare("enc.tokens", tokens.unflatten(1, side))
    again = codec.decode_raw(codec.lookup(tokens, side))
    case.compare("enc.reconstruction", again, case.tolerance("other_float"))
