"""EDM2: sizes from files, weight normalisation, shapes the network takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.edm2.blocks import mp_cat, mp_sum, normalised
from ar_guidance.models.edm2.config import EDM2Config
from ar_guidance.models.edm2.images import from_pixels, from_vae, own_latents, raw_latents
from ar_guidance.models.edm2.network import build
from ar_guidance.tests import tiny_edm2
from safetensors.torch import save_file

# Parameters of the released sizes with 1000 classes, as the fact sheet counts them.
RELEASED = {
    128: 124_713_253,
    192: 280_212_837,
    256: 497_807_781,
    320: 777_498_085,
    384: 1_119_283_749,
    448: 1_523_164_773,
}


def released(width: int, classes: int = 1000) -> EDM2Config:
    widths = tuple(width * m for m in (1, 2, 3, 4))
    return EDM2Config(64, 4, classes, widths, 3, (16, 8), widths[-1], width)


def test_edm2_s_with_its_guide_and_its_vae_fits_8_gb() -> None:
    """512 x 512, half precision: networks, a run, and what ComfyUI sets aside for the VAE's decoding (comfy/sd.py)."""
    with torch.device("meta"):
        main, guide = (
            build(released(width, classes), dtype=torch.float16)
            for width, classes in ((192, 1000), (128, 0))
        )
    held = sum(t.nbytes for n in (main, guide) for t in n.state_dict().values())
    vae, decoding = 83_653_863 * 2, 2178 * 64 * 64 * 64 * 2
    needed = held + main.run_bytes(1, (64, 64)) + vae + decoding
    assert 1e9 < needed < 3e9


@pytest.mark.parametrize(("width", "count"), RELEASED.items())
def test_released_sizes_have_the_published_number_of_parameters(width: int, count: int) -> None:
    with torch.device("meta"):
        networks = [build(released(width, classes)) for classes in (1000, 0)]
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [count, count - 1000 * 4 * width]


@pytest.mark.parametrize(
    "changes",
    [{}, {"label_dim": 0}, {"img_channels": 3}, {"num_blocks": 2, "attn_resolutions": [8]}],
    ids=str,
)
def test_sizes_are_read_from_the_file(tmp_path: Path, changes: dict) -> None:
    path = tiny_edm2.write_release(tmp_path / "a.pkl", **changes)
    wanted = tiny_edm2.config_of(tiny_edm2.arguments(**changes))
    found = find_part(read_weights(path), "diffusion").config
    assert found == wanted and found.latent == (wanted.channels == 4)


def test_a_file_without_arguments_has_heads_of_64(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    given = tiny_edm2.arguments(model_channels=64, channels_per_head=64)
    tensors = tiny_edm2.stored(tiny_edm2.config_of(given))
    save_file({f"ema.{k}": v for k, v in tensors.items() if "logvar" not in k}, path)
    assert find_part(read_weights(path), "diffusion").config == tiny_edm2.config_of(given)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.pop("unet.enc.8x8_conv.weight"), "resolution is unknown"),
        (lambda t: t.update({"unet.enc.4x4_conv.weight": t["unet.enc.8x8_conv.weight"]}), "resolution is unknown"),
        (lambda t: t.pop("unet.dec.4x4_in0.attn_qkv.weight"), "lacks"),
        (lambda t: t.pop("unet.dec.4x4_in0.emb_gain"), "lacks"),
        (lambda t: t.update({"unet.out_gain": torch.tensor(torch.nan)}), "not numbers"),
        (lambda t: t.update({"unet.mystery": torch.ones(1)}), "unknown"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_refused_in_words(tmp_path: Path, spoil, words: str) -> None:
    path = tmp_path / "a.safetensors"
    tensors = tiny_edm2.stored(tiny_edm2.config_of(tiny_edm2.arguments(channels_per_head=8)))
    (tmp_path / "a.json").write_text('{"channels_per_head": 8}')
    save_file(tensors, path)
    find_part(read_weights(path), "diffusion")
    spoil(tensors)
    save_file({k: v.clone() for k, v in tensors.items()}, path)
    with pytest.raises(CheckpointError, match=words):
        find_part(read_weights(path), "diffusion")


def test_arguments_that_say_another_network_are_refused(tmp_path: Path) -> None:
    tensors = tiny_edm2.stored(tiny_edm2.config_of(tiny_edm2.arguments()))
    for name in ("img_resolution", "img_channels", "label_dim"):
        given = {**tiny_edm2.arguments(), name: 7}
        path = tmp_path / f"{name}.pkl"
        tiny_edm2.write_release(path, tensors=tensors, **{name: given[name]})
        with pytest.raises(CheckpointError, match=f"{name} 7"):
            find_part(read_weights(path), "diffusion")


def test_a_file_of_another_kind_names_the_loader_that_takes_it(tmp_path: Path) -> None:
    weights = read_weights(tiny_edm2.write_release(tmp_path / "a.pkl"))
    with pytest.raises(CheckpointError, match="AR Load EDM2"):
        find_part(weights, "transformer")
    bundled = Path(__file__).resolve().parents[2] / "bundled" / "emoji_var.safetensors"
    with pytest.raises(CheckpointError, match="AR Load Checkpoint"):
        find_part(read_weights(bundled), "diffusion")


def test_scaling_a_stored_weight_changes_nothing() -> None:
    config = tiny_edm2.config_of(tiny_edm2.arguments())
    tensors = {k: v.float() for k, v in tiny_edm2.stored(config).items()}
    scaled = {k: v * 16.0 if k.endswith("weight") else v for k, v in tensors.items()}
    x, labels = torch.randn(2, 4, 8, 8), torch.eye(5)[:2]
    for sigma in (0.1, 5.0):
        made = [
            tiny_edm2.network_of(config, given)(x, torch.tensor(sigma), labels)
            for given in (tensors, scaled)
        ]
        torch.testing.assert_close(made[0], made[1], atol=1e-2, rtol=0)  # eps in the norm
    gained = {**tensors, "unet.out_gain": tensors["unet.out_gain"] * 2}
    other = tiny_edm2.network_of(config, gained)(x, torch.tensor(5.0), labels)
    assert not torch.allclose(made[0], other, atol=1e-1)


def test_magnitude_preserving_parts_preserve_it() -> None:
    a, b = torch.randn(4, 64, 16, 16), torch.randn(4, 32, 16, 16)
    for t in (0.3, 0.5):
        assert mp_sum(a, a.flip(0), t).std().item() == pytest.approx(1, abs=0.05)
        joined = mp_cat(a, b, t)
        assert joined.square().mean().item() == pytest.approx(1, abs=0.05)
    rms = normalised(5 * a, 1).square().mean(1).sqrt()
    torch.testing.assert_close(rms, torch.ones_like(rms), atol=1e-3, rtol=0)


def test_each_image_of_a_batch_is_as_it_is_alone() -> None:
    config = tiny_edm2.config_of(tiny_edm2.arguments())
    network = tiny_edm2.network_of(config, tiny_edm2.stored(config))
    x, sigma, labels = torch.randn(3, 4, 8, 12), torch.tensor([0.1, 2.0, 30.0]), torch.eye(5)[:3]
    with torch.no_grad():
        together = network(x, sigma, labels)
        for i in range(3):
            alone = network(x[i : i + 1], sigma[i], labels[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_at_no_noise_the_denoised_image_is_the_image() -> None:
    config = tiny_edm2.config_of(tiny_edm2.arguments(label_dim=0))
    network = tiny_edm2.network_of(config, tiny_edm2.stored(config))
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x, torch.tensor(1e-6)), x, atol=1e-3, rtol=0)


def test_a_level_that_cannot_halve_is_refused() -> None:
    good = tiny_edm2.config_of(tiny_edm2.arguments())
    with pytest.raises(ValueError, match="halve"):
        replace(good, resolution=9)
    with pytest.raises(ValueError, match="heads"):
        replace(good, head_width=7)


def test_latents_and_pixels_follow_the_release() -> None:
    raw = torch.tensor([5.81, 3.25, 0.12, -2.15]).view(1, 4, 1, 1)
    torch.testing.assert_close(own_latents(raw), torch.zeros(1, 4, 1, 1), atol=1e-6, rtol=0)
    spread = own_latents(raw + torch.tensor([4.17, 4.62, 3.71, 3.28]).view(1, 4, 1, 1))
    torch.testing.assert_close(spread, torch.full((1, 4, 1, 1), 0.5))
    x = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(own_latents(raw_latents(x)), x, atol=1e-5, rtol=0)
    assert from_pixels(torch.tensor([-2.0, 0.0, 0.999, 2.0])).mul(255).tolist() == [
        0,
        128,
        255,
        255,
    ]
    assert from_vae(torch.tensor([0.4, 0.5, 0.75, 1.0])).tolist() == [0.0, 0.0, 0.5, 1.0]
