"""Every hostile file ends in our error: in words that name it, nothing run, little memory taken."""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ar_guidance.imaging.token_file import read_tokens
from ar_guidance.loaders.detect import find_part, fitted
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.loaders.text.files import find_encoder
from ar_guidance.tests import tiny, tiny_tokens
from ar_guidance.tests.hostile.build import MARKER
from ar_guidance.tests.hostile.corpus import DEEP, TOKENS, TRANSFORMERS
from safetensors.torch import save_file

HANGING = 120  # seconds after which something hangs, on any machine
MEMORY = 200 << 20  # bytes a file of kilobytes may make us take
MODELS = {
    "VAR": tiny.tiny_var,
    "VAR-CLIP": tiny.tiny_var_clip,
    "Switti": tiny.tiny_switti,
    "Infinity": tiny.tiny_infinity,
    "HART": tiny.tiny_hart,
    "LlamaGen": tiny_tokens.tiny_llamagen,
    "AliTok": tiny_tokens.tiny_alitok,
    "SimpleAR": tiny_tokens.tiny_simplear,
    "Lumina-mGPT 2": tiny_tokens.tiny_lumina,
}


@pytest.fixture(autouse=True)
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, with an end, without a trace of a pickle's call, and with the memory watched."""
    monkeypatch.chdir(tmp_path)

    def hangs(*_: object) -> None:
        raise AssertionError(f"no answer in {HANGING} s")

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANGING)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    signal.alarm(0)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert not (tmp_path / MARKER).exists(), "a pickle was run"
    assert taken < MEMORY, f"{taken:,} bytes"


def refusal(read: Callable[[], object]) -> str:
    """What the user reads: one printable line that is no longer than a screen's."""
    with pytest.raises(ValueError) as caught:
        read()
    said = str(caught.value)
    assert said.isprintable() and 20 < len(said) < 1200, said
    return said


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(TRANSFORMERS) + len(TOKENS) >= 110


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_offered_as_a_model(tmp_path: Path, name: str) -> None:
    path = TRANSFORMERS[name](tmp_path)
    for part in ("transformer", "tokenizer"):
        refusal(lambda part=part: find_part(read_weights(path), part))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_offered_as_a_text_encoder_or_tokens(tmp_path: Path, name: str) -> None:
    path = TRANSFORMERS[name](tmp_path)
    refusal(lambda: find_encoder([path]))
    refusal(lambda: read_tokens(path))


@pytest.mark.parametrize("name", TOKENS)
def test_offered_as_tokens(tmp_path: Path, name: str) -> None:
    path = TOKENS[name](tmp_path)
    assert "tokens.safetensors" in refusal(lambda: read_tokens(path))
    refusal(lambda: find_part(read_weights(path), "transformer"))


def state_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone().contiguous() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", MODELS)
def test_every_transformer_as_a_tokenizer_and_the_other_way_round(
    tmp_path: Path, name: str
) -> None:
    made = MODELS[name]()
    save_file(state_of(made.network), tmp_path / "network.safetensors")
    refusal(lambda: find_part(read_weights(tmp_path / "network.safetensors"), "tokenizer"))
    if hasattr(made, "codec"):  # the tests' token-wise models have none
        save_file(state_of(made.codec), tmp_path / "codec.safetensors")
        refusal(lambda: find_part(read_weights(tmp_path / "codec.safetensors"), "transformer"))
        refusal(lambda: find_encoder([tmp_path / "codec.safetensors"]))


def test_parts_of_different_families_are_told_apart(tmp_path: Path) -> None:
    parts = {}
    for name in ("VAR", "LlamaGen", "AliTok", "Infinity"):
        made = MODELS[name]()
        networks = {"transformer": made.network, "tokenizer": getattr(made, "codec", None)}
        for part, network in ((p, n) for p, n in networks.items() if n is not None):
            path = tmp_path / f"{name}-{part}.safetensors"
            save_file(state_of(network), path, {"norm_groups": "2", "side": "4"})
            try:
                parts[name, part] = find_part(read_weights(path), part)
            except CheckpointError:
                continue  # sizes of the tests that leave no trace in the weights
    pairs = [
        (one, other)
        for one, other in itertools.product(parts, parts)
        if one[1] == "transformer" and other[1] == "tokenizer" and one[0] != other[0]
    ]
    assert pairs
    for one, other in pairs:
        said = refusal(lambda one=one, other=other: fitted(parts[one], parts[other]))
        assert "do not belong together" in said


@pytest.mark.parametrize(
    "text", ["", "{", DEEP, "[]", "null", '{"num_heads": null, "depth": []}', "\0", "9" * 5000]
)
@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "model.json", "tokenizer.json"]
)
def test_a_broken_neighbour_does_not_break_a_model(tmp_path: Path, name: str, text: str) -> None:
    save_file(state_of(tiny.tiny_var().network), tmp_path / "model.safetensors")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert (
        find_part(read_weights(tmp_path / "model.safetensors"), "transformer").family.name == "var"
    )


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_names_of_other_scripts_reach_the_message_in_letters_the_log_has(tmp_path: Path) -> None:
    path = TRANSFORMERS["a line break in a name"](tmp_path)
    assert r"a\nb.safetensors" in refusal(lambda: read_weights(path))
