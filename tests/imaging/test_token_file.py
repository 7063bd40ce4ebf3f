"""Files of tokens: what is read is what was written, and a damaged file is refused in words that name it."""

import json
from pathlib import Path

import pytest
import torch
from ar_guidance.imaging.token_file import FORMAT, read_tokens, write_tokens
from ar_guidance.imaging.tokens import ImageTokens
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

SCALES = ((1, 1), (2, 2), (3, 4))


def some(kind: str = "scale", bits: int = 0, features: bool = False) -> ImageTokens:
    """Tokens of two images."""
    grids = SCALES if kind == "scale" else SCALES[-1:]
    form = (bits,) if bits else ()
    steps = tuple(torch.randint(2 if bits else 4000, (2, h * w, *form)) for h, w in grids)
    extra = torch.randn(2, 5, 3, 4) if features else None
    return ImageTokens(kind, grids, steps, "abc", "VAR", extra)


GOOD = {
    "scales": some(),
    "bits": some(bits=4),
    "features": some(features=True),
    "line": some("token"),
}


def contents(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata())


@pytest.mark.parametrize("which", GOOD)
def test_what_is_read_is_what_was_written(which, tmp_path) -> None:
    given_tokens, path = GOOD[which], tmp_path / "good.safetensors"
    write_tokens(given_tokens, path, {"prompt": "{}"})
    read = read_tokens(path)
    assert all(torch.equal(a, b) for a, b in zip(read.steps, given_tokens.steps, strict=True))
    assert repr(read) == repr(given_tokens) and read.codec == "abc"
    assert (read.features is None) == (given_tokens.features is None)
    assert [file.name for file in tmp_path.iterdir()] == ["good.safetensors"]


@pytest.mark.parametrize("which", GOOD)
def test_what_was_read_needs_the_file_no_more(which, tmp_path) -> None:
    """Windows replaces no file that is mapped; and here a changed file would change the tokens."""
    path = tmp_path / "good.safetensors"
    write_tokens(GOOD[which], path)
    read = read_tokens(path)
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    given_tokens = GOOD[which]
    assert all(torch.equal(a, b) for a, b in zip(read.steps, given_tokens.steps, strict=True))
    if read.features is not None:
        assert torch.equal(read.features, given_tokens.features)


HEADERS = [
    *("[]", "5", "null", "[[1,", "{}", '"ab"', "[[]]", "[[1, 1]]", "[[1.5, 1], [2, 2], [3, 4]]"),
    *(
        "[[-1, -1], [2, 2], [3, 4]]",
        "[[0, 1], [2, 2], [3, 4]]",
        "[[1, 1], [2, 2], [4, 3]]",
        "[" * 9999,
    ),
    *(json.dumps([[1, 1]] * 40), "[[1, 1], [2, 2], [3, 4], [3, 4]]", "[[1e9, 1e9]]", "NaN"),
]
CHANGES = {
    "rows": lambda t: t[:0],
    "a row less": lambda t: t[:1],
    "short": lambda t: t[:, :-1],
    "long": lambda t: t.repeat(1, 2, *(1,) * (t.dim() - 2)),
    "deeper": lambda t: t[..., None],
    "flat": lambda t: t.flatten(),
    "one number": lambda t: t.flatten()[0],
    "floats": lambda t: t.float(),
    "infinite": lambda t: t.float() * float("inf"),
    "below zero": lambda t: -1 - t.long(),
    "truth": lambda t: t > 0,
    "nothing": None,
}
FACTS = {
    "kind": ["scale", "token", "other", ""],
    "grids": HEADERS,
    "codec": ["", "other"],
    "family": [""],
    "format": ["pt", FORMAT],
}


@settings(max_examples=150)
@given(data=st.data(), which=st.sampled_from(sorted(GOOD)))
def test_a_changed_file_is_read_or_refused_by_name(data, which, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("tokens") / "changed.safetensors"
    write_tokens(GOOD[which], path)
    tensors, facts = contents(path)
    names = st.sampled_from(sorted(tensors))
    for name, how in data.draw(st.dictionaries(names, st.sampled_from(sorted(CHANGES)))).items():
        change = CHANGES[how]
        if change is None:
            del tensors[name]
        else:
            tensors[name] = change(tensors[name]).contiguous()
    for field in data.draw(st.sets(st.sampled_from(sorted(FACTS)), max_size=2)):
        value = data.draw(st.sampled_from([None, *FACTS[field]]))
        facts = {k: v for k, v in (facts | {field: value}).items() if v is not None}
    save_file(tensors, path, facts)
    read_or_refused(path)


def read_or_refused(path: Path) -> None:
    """Every file gives whole tokens, or a ValueError that begins with its name."""
    try:
        tokens = read_tokens(path)
    except ValueError as error:
        assert str(error).startswith(path.name)
        return
    assert tokens.batch >= 1 and "images of" in repr(tokens)
    assert all((step >= 0).all() for step in tokens.steps)


@settings(max_examples=80)
@given(data=st.data())
def test_a_file_cut_short_or_with_other_bytes(data, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("tokens") / "cut.safetensors"
    write_tokens(GOOD["features"], path)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
        with pytest.raises(
            ValueError, match="cut.safetensors: this file is damaged or holds no tokens"
        ):
            read_tokens(path)
    else:
        whole[place] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        read_or_refused(path)


@pytest.mark.parametrize("grids", ["[]", "[[1, 1]]", "[[1,"])
def test_a_damaged_header_is_refused_at_once(grids, tmp_path) -> None:
    path = tmp_path / "head.safetensors"
    write_tokens(GOOD["scales"], path)
    tensors, facts = contents(path)
    save_file(tensors, path, facts | {"grids": grids})
    with pytest.raises(ValueError, match="head.safetensors: this file of tokens is damaged"):
        read_tokens(path)


def test_no_word_of_models_for_a_file_of_tokens(tmp_path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("hello")
    with pytest.raises(ValueError) as caught:
        read_tokens(path)
    assert "model" not in str(caught.value) and "AR Save Tokens" in str(caught.value)


def test_a_name_too_long_is_said_in_words(tmp_path) -> None:
    with pytest.raises(ValueError, match="Choose another, shorter filename_prefix"):
        write_tokens(GOOD["scales"], tmp_path / ("x" * 300 + ".safetensors"))
    with pytest.raises(ValueError, match="could not be saved"):
        write_tokens(GOOD["scales"], tmp_path / "gone" / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_images_of_a_file_can_be_picked(tmp_path) -> None:
    path = tmp_path / "good.safetensors"
    write_tokens(GOOD["features"], path)
    assert read_tokens(path).pick([1]).batch == 1
