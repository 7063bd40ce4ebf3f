"""Golden cases of VAR-CLIP: text tower, prompt ids, and VAR's runs with a text vector as the condition."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.read import read_weights
from ar_guidance.loaders.text.tokenizers import KEY, READINGS, PromptTokenizer, read_tokenizer
from ar_guidance.models import var_clip
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.models.text.clip import ClipText, ClipTextConfig
from ar_guidance.models.text.encoders import CLIP_VECTOR
from golden_shared import (
    Setup,
    build,
    check_filters,
    check_gumbel,
    check_runs,
    check_tokenizer,
    find,
    load,
    setup_of,
)
from torch import Tensor

ROOT = Path(__file__).resolve().parents[3]


def setup(case: Any) -> Setup:
    return setup_of(case, load(case, "tokenizer"), case.input("text.embedding"))


def run(case: Any) -> None:
    with torch.inference_mode():
        codec = load(case, "tokenizer")
        grids = [(side, side) for side in case.facts["config"]["patch_nums"]]
        check_tokenizer(case, codec, grids)
        if case.file("transformer") is None:
            return
        vector = check_text(case)
        model = find(case, "transformer", heads=case.facts["config"]["num_heads"])
        assert list(model.config.grids) == grids
        vectors = {"text.embedding": vector}
        given = lambda name: vectors[name] if name in vectors else case.input(name)  # noqa: E731
        check_runs(case, model, build(model), codec, lambda settings: given(settings["label"]))
        check_filters(case)
        check_gumbel(case)


def check_text(case: Any) -> Tensor:
    """The text vector the run is conditioned on, made by our own tower where the case has one."""
    tolerance = 1e-5  # the case's notes: QuickGELU's vectors are hardly further away than this
    check_prompt_ids(case)
    if case.file("text_encoder") is None:
        return case.input("text.embedding")
    tensors = read_weights(case.file("text_encoder")).tensors
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    config = ClipTextConfig.of(shapes, case.facts["text_config"]["heads"])
    ids = case.input("text.tokens")
    tower = tower_of(config, tensors)
    case.close("text.features", tower(ids), tolerance)
    case.close("text.embedding", embedding(tower, ids), tolerance)
    if case.has("text.embedding_quickgelu"):
        quick = tower_of(replace(config, quick=True), tensors)
        case.close("text.embedding_quickgelu", embedding(quick, ids), tolerance)
    return embedding(tower, ids)


def embedding(tower: ClipText, ids: Tensor) -> Tensor:
    """What the network is conditioned on, made as the condition node makes it of the encoder's one row."""
    rows = tower(ids)[:, None]
    text = TextCondition(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
    return var_clip.text_vector(None, text)  # type: ignore[arg-type]


def tower_of(config: ClipTextConfig, tensors: dict[str, Tensor]) -> ClipText:
    tower = ClipText(config).eval()
    tower.load_state_dict({k: v for k, v in tensors.items() if k != "logit_scale"})
    return tower


def check_prompt_ids(case: Any) -> None:
    """The vocabulary comes with a host; where none is unpacked the ids are taken as given."""
    folders = sorted(ROOT.glob(".hosts/*/comfy/sd1_tokenizer"))
    if not case.has("text.prompt_ids"):
        return
    if not folders:
        case.input("text.prompt_ids")
        return
    reading = READINGS[CLIP_VECTOR.name]
    words = read_tokenizer(folders[-1], folders[-1], reading.kind)
    tokenizer = PromptTokenizer(words, reading, lambda prompt: [(prompt, 1.0)], CLIP_VECTOR.title)
    rows = [prompt_ids(tokenizer, prompt) for prompt in case.facts["inputs"]["prompts"]]
    case.equal("text.prompt_ids", torch.stack(rows))


def prompt_ids(tokenizer: PromptTokenizer, prompt: str) -> Tensor:
    """Ids (77,) padded with zeros as the reference has them; of a prompt too long for the model, which the reference cuts and
    the nodes refuse, its beginning and the end token.
    """
    most = tokenizer.reading.most
    try:
        (line,) = tokenizer.tokenize_with_weights(prompt)[KEY]
    except ValueError:
        uncut = PromptTokenizer(
            tokenizer.tokenizer,
            replace(tokenizer.reading, most=0),
            tokenizer.pieces,
            tokenizer.title,
        )
        (line,) = uncut.tokenize_with_weights(prompt)[KEY]
        assert len(line) > most, f"'{prompt}' was refused and fits"
        line = [*line[: most - 1], line[-1]]
    ids = torch.tensor([entry[0] for entry in line])
    return torch.nn.functional.pad(ids, (0, most - len(ids)))
