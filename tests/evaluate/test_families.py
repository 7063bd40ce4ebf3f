"""Families the ready plans name, on the tiny networks of the golden cases: the released weights are not here."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.tests.evaluate.plans import written
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.models import load, resolution_of
from ar_guidance.tools.evaluate.weights import files_of, network_of

CASES = Path(__file__).resolve().parents[1] / "golden" / "cases"


@pytest.mark.parametrize("guided", [[], [{"ssg": {"beta": 0.1}}]])
def test_discrete_diffusion_is_sampled(guided: list, tmp_path: Path) -> None:
    model = {"transformer": "imagenet_learnable.pth", "tokenizer": "vqgan_imagenet_f2_64.pth"}
    changes = {
        "models": {"vq": model},
        "conditions": {"classes": "all"},
        "judges": [],
        "sampler": {"top_p": 0.94},
        "rows": [{"label": "CFG", "chain": [{"cfg": {"scale": 1.5}}, *guided]}],
    }
    plan = written(tmp_path, **changes, seeds=1, each=2)
    weights = str(CASES / "vq_diffusion" / "class_t100")
    arguments = [plan, "--weights", weights, "--device", "cpu", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    [row] = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["samples"] == 2


def test_images_are_made_smaller_as_llamagens_authors_do_for_their_table() -> None:
    """`sample_c2i_ddp.py`: bicubic, of the values in [-1, 1]."""
    spec, device = {"bundled": "token"}, torch.device("cpu")
    whole, small = (load("m", one, Path(), device) for one in (spec, spec | {"resized": 48}))
    assert small.resolution == resolution_of("m", spec | {"resized": 48}, Path()) == (48, 48)
    features = torch.randn(2, small.tokenizer.config.dim, *small.config.grid)
    with torch.inference_mode():
        wanted = F.interpolate(whole.decode(features), (48, 48), mode="bicubic")
        assert torch.equal(small.decode(features), wanted)


def test_scaled_weights_in_eight_bits_are_multiplied_by_their_scale() -> None:
    path = files_of("m", {"bundled": "scale"}, Path())["transformer"]
    part = find_part(read_weights(path), "transformer")
    key = next(k for k, v in part.tensors.items() if v.dim() == 2 and k.endswith(".weight"))
    weight, scale = part.tensors[key].float(), torch.tensor(0.01)
    eight = (weight / scale).to(torch.float8_e4m3fn)
    stored = replace(part, tensors=part.tensors | {key: eight}, scales={key: scale})
    network = network_of(stored, torch.float32, torch.device("cpu"))
    assert (network.state_dict()[key] - weight).abs().max() <= weight.abs().max() / 16
