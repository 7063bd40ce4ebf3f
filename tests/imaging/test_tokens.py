"""Tokens on a link: always whole, and refused in words by models they do not fit."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ar_guidance.imaging.tokens import ImageTokens
from ar_guidance.models import llamagen, var
from ar_guidance.tools.bundled.sample import load_pair

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
FAMILIES = {"scale": var.FAMILY, "token": llamagen.FAMILY_CLASS}


def model_of(kind: str) -> SimpleNamespace:
    """A bundled model as the nodes see it, without a host."""
    codec, network = load_pair(BUNDLED, kind)
    return SimpleNamespace(
        name=f"{kind}.safetensors",
        family=FAMILIES[kind],
        config=network.config,
        tokenizer=codec,
        codec="abc",
    )


def tokens_for(model: SimpleNamespace, batch: int = 2) -> ImageTokens:
    """Random tokens that fit a model."""
    kind, config = model.family.kind, model.config
    grids = config.grids if kind == "scale" else (config.grid,)
    steps = [torch.randint(model.tokenizer.config.vocab, (batch, h * w)) for h, w in grids]
    return ImageTokens(kind, tuple(grids), tuple(steps), "abc", model.family.title)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request) -> SimpleNamespace:
    return model_of(request.param)


def test_tokens_of_a_model_pass(model) -> None:
    tokens = tokens_for(model)
    tokens.check(model)
    tokens.check(model, tokens.grids)
    assert "2 images" in repr(tokens)


WRONG = {
    "no grids": {"grids": (), "steps": ()},
    "no images": {"steps": lambda step: step[:0]},
    "a step too few": {"grids": ((1, 1), (2, 2)), "steps": (torch.zeros(1, 1).long(),)},
    "too short": {"steps": lambda step: step[:, :-1]},
    "one number": {"steps": lambda step: step[:, 0]},
    "an empty side": {"grids": ((0, 5),), "steps": (torch.zeros(1, 0).long(),)},
    "another kind": {"kind": "other"},
    "features of others": {"features": torch.zeros(3, 4, 2, 2)},
    "a flat feature map": {"features": torch.zeros(2, 4)},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_tokens_is_never_made(model, what) -> None:
    tokens, change = tokens_for(model), dict(WRONG[what])
    if callable(change.get("steps")):
        change["steps"] = tuple(map(change["steps"], tokens.steps))
    known = {name: getattr(tokens, name) for name in ("kind", "grids", "steps", "codec", "family")}
    with pytest.raises(ValueError):
        ImageTokens(**(known | change))


def test_a_line_twice_as_long_and_another_shape() -> None:
    model = model_of("token")
    tokens, (h, w) = tokens_for(model), model.config.grid
    make = {"kind": "token", "codec": "abc", "family": "LlamaGen"}
    long = ImageTokens(grids=tokens.grids, steps=(tokens.steps[0].repeat(1, 2),), **make)
    with pytest.raises(ValueError, match=f"{2 * h * w} of each image"):
        long.check(model)
    flat = ImageTokens(grids=((h // 2, w * 2),), steps=tokens.steps, **make)
    with pytest.raises(ValueError, match="makes no images of"):
        flat.check(model)
    bits = ImageTokens("scale", ((1, 1),), (torch.zeros(1, 1, 4).long(),), "abc", "VAR")
    with pytest.raises(ValueError, match="is one number"):
        bits.check(model_of("scale"))


def test_other_scales_of_the_same_image() -> None:
    model = model_of("scale")
    tokens = tokens_for(model)
    last = ImageTokens("scale", tokens.grids[-1:], tokens.steps[-1:], "abc", "VAR")
    with pytest.raises(ValueError, match="makes no images of"):
        last.check(model)
    small = ImageTokens("scale", tokens.grids[:2], tokens.steps[:2], "abc", "VAR")
    with pytest.raises(ValueError, match="another image size") as caught:
        small.check(model, tokens.grids)
    assert "AR Sampler's size to 16x16" in str(caught.value) and "64x64" in str(caught.value)
