"""What EDM2 refuses: files and settings, and nodes that are for other models; every message says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.tests import tiny_edm2
from ar_guidance.tests.hosts.edm2_graphs import (
    LARGER,
    LATENT,
    OTHERS,
    PIXEL,
    SMALLER,
    UNCOND,
    graph,
    latents,
    refusal,
)
from ar_guidance.tests.hosts.graphs import Json, cfg, generate, node
from ar_guidance.tests.hosts.running import RunningHost


def ssg() -> Json:
    return node(
        "ARGuidanceSSG", ar_sampling=None, scale=1.0, schedule="constant", start=0.0, end=1.0
    )


REFUSED: dict[str, Callable[[], Json]] = {
    "no guiding network is loaded": lambda: graph(LATENT, "none", cfg(None, 2.0)),
    "the guide is the network itself": lambda: graph(LATENT, LATENT),
    "do not belong together": lambda: graph(LATENT, SMALLER, cfg(None, 2.0)),
    "8x8 latents of 4 channels against 16x16": lambda: graph(LATENT, LARGER, cfg(None, 2.0)),
    "knows 5 classes, the guide 7": lambda: graph(LATENT, OTHERS, cfg(None, 2.0)),
    "class 5 is out of range": lambda: graph(LATENT, UNCOND, classes="5"),
    "connect AR Class Condition": lambda: graph(LATENT, UNCOND, classes=""),
    "knows no classes": lambda: graph(UNCOND, "none", classes="0"),
    "multiples of 16 pixels": lambda: graph(LATENT, "none", width=104),
    "must be above 0 and below sigma_max": lambda: graph(LATENT, "none", sigma_min=5.0, sigma_max=2.0),
    "would never act": lambda: graph(LATENT, UNCOND, cfg(None, 2.0, start=0.4, end=0.6)),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_refused_in_words(edm2: RunningHost, words: str) -> None:
    assert words in refusal(edm2, REFUSED[words]())


def test_token_nodes_say_that_this_run_has_no_tokens(edm2: RunningHost) -> None:
    prompt = graph(LATENT, UNCOND, cfg(None, 2.0))
    prompt["decode"] = node("ARDecode", ar_sampling=["link0", 0])
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "draws no tokens" in refusal(edm2, prompt, output=0)
    bundled = {"load": node("ARLoadCheckpoint", checkpoint=LATENT, tokenizer="automatic")}
    prompt = {
        **bundled,
        "show": node(
            "ARClassCondition", ar_model=["load", 0], label="no class (unconditional)", classes="1"
        ),
    }
    prompt["sampler"] = node(
        "ARSampler", ar_model=["load", 0], ar_conditioning=["show", 0],
        seed=1, batch_size=1, temperature=1.0, top_k=-1, top_p=-1.0, min_p=0.0,
    )  # fmt: skip
    prompt["decode"] = node("ARDecode", ar_sampling=["sampler", 0])
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "Load it with AR Load EDM2" in refusal(edm2, prompt, output=0)


def test_a_file_that_wants_to_run_something_is_refused(edm2: RunningHost, tmp_path: Path) -> None:
    path = edm2.models / "ar_checkpoints" / "evil.pkl"
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(marker), "w")

    tiny_edm2.write_release(path, extra={"zzz": Evil()})
    assert "open" in refusal(edm2, graph("evil.pkl", "none"))
    assert not marker.exists() and not path.with_suffix(".marker").exists()


def test_latents_and_images_say_what_is_missing(edm2: RunningHost) -> None:
    prompt = graph(LATENT, "none")
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "no VAE is connected" in refusal(edm2, prompt, output=0)
    assert "draws pixels" in refusal(edm2, graph(PIXEL, "none"))


# --- nodes for other models -------------------------------------------------------------------------------------------


def with_tokens(name: str, **inputs: Any) -> Json:
    """A run of EDM2 that goes through a node for token models; the tokens and the image are the bundled model's."""
    prompt = graph(LATENT, UNCOND, cfg(None, 2.0))
    for key, entry in generate(seed=1).items():
        if key not in ("save",):
            prompt[f"ar_{key}"] = renamed(entry, "ar_")
    prompt["between"] = node(name, ar_sampling=["link0", 0], **inputs)
    prompt["decode"]["inputs"]["ar_sampling"] = ["between", 0]
    return prompt


def renamed(entry: Json, prefix: str) -> Json:
    """A node whose links lead to nodes with a prefix."""
    inputs = {
        name: [prefix + value[0], value[1]] if isinstance(value, list) else value
        for name, value in entry["inputs"].items()
    }
    return {**entry, "inputs": inputs}


IMAGE, TOKENS = {"image": ["ar_decode", 0]}, {"ar_tokens": ["ar_decode", 2]}
DRAWN = {"soft_edge": 0, "keep_outside": False, "seam": "blend features"}
SIDES = {"left": 0.0, "top": 0.0, "right": 0.5, "bottom": 0.0}
MASKED = {"mask": ["mask", 0], "variation": 1.0, "under_mask": "as it is", "fit": "crop"}
FOR_TOKENS: dict[str, Json] = {
    "ARKeepScales": {**TOKENS, "variation": 0.5, "keep_scales": -1},
    "ARInpaint": {**TOKENS, **DRAWN, **MASKED},
    "AROutpaint": {**IMAGE, **DRAWN, **SIDES},
    "ARDualPanel": {**IMAGE, "task": "subject", "panel": "", "both_panels": False, "fit": "crop"},
    "ARRevealOrder": {"stride": 1, "purity": False, "purity_weight": 1.0},
    "AREntropyTemperature": {"rise": 2.5, "decay": 3.0, "floor": 0.6},
}


@pytest.mark.parametrize("name", FOR_TOKENS)
def test_nodes_for_tokens_say_that_this_run_has_none(edm2: RunningHost, name: str) -> None:
    prompt = with_tokens(name, **FOR_TOKENS[name])
    prompt["mask"] = node("SolidMask", value=1.0, width=64, height=64)
    assert "draws no tokens" in refusal(edm2, prompt)


def test_conditions_of_other_models(edm2: RunningHost) -> None:
    """Several classes in one image, the classes of another network, and a run of a token model."""
    prompt = graph(LATENT, UNCOND, cfg(None, 2.0))
    prompt["blend"] = node(
        "ARBlend",
        **{"ar_conditioning": ["class", 0], "ar_second": ["class", 0]},
        **{"weight": 0.5, "start": 0.0, "end": 1.0},
    )
    prompt["sampler"]["inputs"]["ar_conditioning"] = ["blend", 0]
    assert "mix the predictions of token models" in refusal(edm2, prompt)
    prompt = graph(LATENT, UNCOND, cfg(None, 2.0))
    prompt["others"] = node("ARLoadEDM2", checkpoint=OTHERS, guide="none")
    prompt["class"]["inputs"]["ar_model"] = ["others", 0]
    assert "made for a network of 7 classes" in refusal(edm2, prompt)
    prompt = with_tokens("ARRevealOrder")
    prompt["decode"]["inputs"]["ar_sampling"] = ["ar_sampler", 0]
    del prompt["between"]
    assert "this run is of an autoregressive model: use AR Decode" in refusal(edm2, prompt)


def test_an_output_that_the_network_has_not_says_what_to_do(edm2: RunningHost) -> None:
    prompt = graph(LATENT, "none")
    prompt["save"] = node("SaveImage", images=["decode", 0], filename_prefix="edm2/refused")
    assert "no VAE is connected" in refusal(edm2, prompt, output=0)
    assert "draws pixels, not latents" in refusal(edm2, graph(PIXEL, "none"))


def test_a_papers_preset_is_of_this_family(edm2: RunningHost) -> None:
    """And changes nothing."""
    with_preset = graph(LATENT, UNCOND, cfg(None, 2.0), preset="EDM2-S mix")
    plain = latents(edm2, graph(LATENT, UNCOND, cfg(None, 2.0)))
    assert torch.equal(latents(edm2, with_preset), plain)
    for preset, words in (("VAR-d30 IGG", "this one is edm2"), ("EDM2-S", "no preset 'EDM2-S'")):
        assert words in refusal(edm2, graph(LATENT, UNCOND, cfg(None, 2.0), preset=preset))
