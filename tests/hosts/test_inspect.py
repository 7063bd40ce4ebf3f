"""Maps, metrics and the search for a scale in real hosts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from ar_guidance.tests.hosts.graphs import add_mask, cfg, generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images, refusal

Json = dict[str, Any]
STEPS = 7  # scales of the bundled model


def mapped(batch: int = 1, source: str = "decode", **settings: Any) -> Json:
    """A run, the map of its trace over the image of `source`."""
    prompt = generate(seed=4, batch_size=batch)
    chosen = {
        "map": "added",
        "scales": "one per scale",
        "opacity": 0.6,
        "colours": "viridis",
        "shared_range": False,
    }
    prompt["map"] = node(
        "ARGuidanceMap", ar_trace=["decode", 1], image=[source, 0], **(chosen | settings)
    )
    prompt["save"]["inputs"]["images"] = ["map", 0]
    return prompt


def subject(prompt: Json, size: int = 64, first: float = 1.0) -> list:
    """Add a mask to a prompt: the middle quarter; `first` is its value there."""
    half = size // 2
    return add_mask(prompt, (size, size), (half // 2, half // 2), (half, half), first)


def measured(mask_size: int | None = 64, batch: int = 1) -> Json:
    """A run, its metrics, everything shown."""
    prompt = generate(seed=4, batch_size=batch)
    prompt["metrics"] = node(
        "ARGuidanceMetrics",
        ar_trace=["decode", 1],
        measure="scaled (divided by the scale)",
        resampling_seed=0,
    )
    if mask_size:
        prompt["metrics"]["inputs"]["mask"] = subject(prompt, mask_size)
    for place, name in enumerate(("evenness", "divergence", "entropy", "json")):
        if mask_size or name != "divergence":
            prompt[name] = node("PreviewAny", source=["metrics", place])
    prompt["save"]["inputs"]["images"] = ["metrics", 4]
    return prompt


def searched(**settings: Any) -> Json:
    """A search for the scale, its words and its curve."""
    prompt = generate(seed=4)
    chosen = {"min_scale": 1.0, "max_scale": 8.0, "probes": 4, "pictures": 1}
    prompt["find"] = node(
        "ARFindScale",
        ar_sampling=["cfg", 0],
        compare="each on its own range",
        **(chosen | settings),
    )
    for place, name in enumerate(("scale", "message", "json"), start=1):
        prompt[name] = node("PreviewAny", source=["find", place])
    prompt["save"]["inputs"]["images"] = ["find", 4]
    return prompt


def texts(host: RunningHost, prompt: Json) -> dict[str, str]:
    """Run a prompt that must succeed; what its Preview Any nodes show."""
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    return {
        name: output["text"][0] for name, output in result.outputs.items() if output.get("text")
    }


# --- maps -------------------------------------------------------------------------------------------------------------


def test_a_drawing_for_every_scale_and_image(host: RunningHost) -> None:
    drawn = images(host, mapped(batch=2))
    assert len(drawn) == 2 * STEPS and drawn.shape[2] == 320
    assert len({image.tobytes() for image in drawn}) == len(drawn)
    combined = images(host, mapped(batch=2, map="entropy", scales="combined"))
    assert len(combined) == 2 and combined.shape[1:] == drawn.shape[1:]


def test_recording_leaves_the_image_alone_and_opacity_zero_shows_it(host: RunningHost) -> None:
    plain = images(host, generate(seed=4))[0]
    drawn = images(host, mapped(opacity=0.0, scales="combined"))[0]
    enlarged = plain.repeat(5, 0).repeat(5, 1)
    top = round(2.9 * 15)
    assert np.abs(drawn[top : top + 320] - enlarged).max() <= 1 / 255 + 1e-6


def test_a_map_nobody_recorded(host: RunningHost) -> None:
    message = refusal(host, mapped(map="attention"))
    assert "recorded no 'attention'" in message and "IGG" in message


def test_a_trace_of_another_image(host: RunningHost) -> None:
    for width, batch in ((96, 1), (64, 2)):
        prompt = mapped(source="other")
        prompt["other"] = node("EmptyImage", width=width, height=64, batch_size=batch, color=0)
        message = refusal(host, prompt)
        assert "this trace belongs to another image" in message
        assert f"holds {batch} of {width}x64" in message
    prompt = mapped(source="other")
    prompt["other"] = node("ImageInvert", image=["decode", 0])
    assert "made by another run or changed since" in refusal(host, prompt)


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_metrics_with_a_mask(host: RunningHost) -> None:
    shown = texts(host, measured(batch=2))
    content = json.loads(shown["json"])
    assert len(content["steps"]) == STEPS and len(content["pictures"]) == 2
    for name in ("evenness", "divergence", "entropy"):
        assert 0 <= float(shown[name]) <= 1
        assert abs(float(shown[name]) - content[name]) < 1e-4
    assert content["steps"][0]["evenness"] is None  # VAR's ramp leaves the first scale unguided
    assert content["steps"][-1]["cfg scale"] == 3.0


def test_metrics_without_a_mask_stop_only_what_needs_the_divergence(host: RunningHost) -> None:
    prompt = measured(mask_size=None)
    assert json.loads(texts(host, prompt)["json"])["divergence"] is None
    prompt["divergence"] = node("PreviewAny", source=["metrics", 1])
    result = host.run(prompt)
    assert "needs a mask of the subject" in result.error
    assert "json" in result.outputs and "divergence" not in result.outputs


def test_a_mask_of_another_size_is_resized(host: RunningHost) -> None:
    same = [json.loads(texts(host, measured(size))["json"])["divergence"] for size in (64, 256)]
    assert same[0] == same[1]


def test_masks_that_mark_nothing_or_everything(host: RunningHost) -> None:
    for value in (0.0, 1.0):
        prompt = measured(mask_size=None)
        prompt["mask"] = node("SolidMask", value=value, width=64, height=64)
        prompt["metrics"]["inputs"]["mask"] = ["mask", 0]
        assert "paint the subject" in refusal(host, prompt)
        search = searched(mask=["mask", 0])
        search["mask"] = prompt["mask"]
        assert "paint the subject" in refusal(host, search)


# --- searching --------------------------------------------------------------------------------------------------------


def test_a_search_with_a_mask_of_its_own(host: RunningHost) -> None:
    prompt = searched()
    prompt["find"]["inputs"]["mask"] = subject(prompt)
    prompt["decode2"] = node("ARDecode", ar_sampling=["find", 0])
    prompt["save2"] = node("SaveImage", images=["decode2", 0], filename_prefix="found")
    result = host.run(prompt)
    assert (result.status, result.error) == ("success", "")
    shown = {name: out["text"][0] for name, out in result.outputs.items() if out.get("text")}
    content = json.loads(shown["json"])
    assert 1.0 <= float(shown["scale"]) <= 8.0 and len(content["probes"]) == 4
    # One image cannot tell a crossing from chance, and the node says so.
    assert not content["sure"] and content["interval"] is None
    assert shown["message"].startswith("Within noise: " if content["crosses"] else "The curves do")
    assert all(0 <= p["evenness"] <= 1 and 0 <= p["divergence"] <= 1 for p in content["probes"])
    steps = [p for p in result.progress if p.node == "find"]
    assert steps[-1].value == steps[-1].total == 4 * STEPS
    again = generate(seed=4)
    again["cfg"] = cfg(["sampler", 0], float(shown["scale"]))
    (found,) = [image for image in result.images if image["filename"].startswith("found")]
    assert host.client.image(found)
    assert len(images(host, again)) == 1


def test_no_class_leaves_nothing_to_search_or_to_draw(host: RunningHost) -> None:
    prompt = searched()
    prompt["condition"]["inputs"]["classes"] = "none"
    assert "Choose a class" in refusal(host, prompt)
    prompt = mapped()
    prompt["condition"]["inputs"]["classes"] = "none"
    assert "recorded no 'added'" in refusal(host, prompt)


def test_a_search_that_cannot_be(host: RunningHost) -> None:
    assert "must be smaller than max_scale" in refusal(host, searched(min_scale=9.0))
    prompt = searched()
    prompt["find"]["inputs"]["ar_sampling"] = ["sampler", 0]
    assert "no guidance scale to find" in refusal(host, prompt)
    prompt = searched()
    prompt["cfg"] = cfg(["sampler", 0], 3.0, schedule="list", values=", ".join("3" * STEPS))
    assert "from a list" in refusal(host, prompt)
    prompt["cfg"] = cfg(["sampler", 0], 3.0, end=0.05)
    assert "nothing to measure" in refusal(host, prompt)


def test_cancel_a_search_then_run_again(host: RunningHost) -> None:
    result = host.run_and_cancel(searched(images=40, probes=12), "find")
    assert result.status == "interrupted"
    assert len(images(host, generate(seed=22))) == 1


# --- spectra ----------------------------------------------------------------------------------------------------------


def spectra(beta: float | None = 1.2, reference: int = 0) -> Json:
    """A run's spectrum under CFG, and SSG if there is a beta; `reference`: side of the images to compare with."""
    prompt = generate(seed=4)
    source = "cfg"
    if beta is not None:
        prompt["ssg"] = node(
            "ARGuidanceSSG",
            ar_sampling=["cfg", 0],
            **{"beta": beta, "schedule": "linear decay", "prior": "DSE"},
            **{"interpolation": "bilinear", "amplitude": "verbatim", "start": 0.0, "end": 1.0},
        )
        source = "ssg"
    prompt["spectrum"] = node("ARGuidanceSpectrum", ar_sampling=[source, 0])
    if reference:
        prompt["other"] = node(
            "EmptyImage", width=reference, height=reference, batch_size=1, color=0x3366CC
        )
        prompt["spectrum"]["inputs"]["reference"] = ["other", 0]
    prompt["json"] = node("PreviewAny", source=["spectrum", 2])
    prompt["save"]["inputs"]["images"] = ["spectrum", 1]
    return prompt


def test_ssg_strengthens_what_the_scale_before_cannot_show(host: RunningHost) -> None:
    content = json.loads(texts(host, spectra(reference=64))["json"])
    assert len(content["scales"]) == STEPS - 1 and len(content["amplitude_ratio"]) == 33
    fine = content["scales"][-3]  # 6x6 after 4x4; the last two are 8x8 both
    assert fine["beyond"] > fine["below"] and content["scales"][-1]["beyond"] is None
    assert content["guidance"] == ["cfg", "ssg"]
    assert len(images(host, spectra(reference=64))) == 2


def test_a_spectrum_needs_ssg_and_images_of_one_size(host: RunningHost) -> None:
    assert "has no SSG" in refusal(host, spectra(beta=None))
    assert "64x64 and the reference 32x32" in refusal(host, spectra(reference=32))
