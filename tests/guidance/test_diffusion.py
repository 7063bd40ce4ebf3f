"""The maths of IGG on diffusion latents: against the formula as written, and its laws."""

import math

import pytest
import torch
from ar_guidance.guidance.diffusion import (
    DiffusionMix,
    from_tokens,
    grid_of,
    to_tokens,
    unpacked,
)
from ar_guidance.guidance.igg import IGG
from hypothesis import given, settings
from hypothesis import strategies as st

SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 9)),  # a sound
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    st.tuples(*(st.integers(1, 3) for _ in range(3)), st.integers(1, 5), st.integers(1, 5)),
)
SEEDS = st.integers(0, 2**16)
SCALES = st.floats(-3, 8)
OPTIONS = st.sampled_from(
    [
        IGG(),
        IGG(window="auto"),
        IGG(window="fixed side", window_side=3),
        IGG(attention="token weight"),
        IGG(attention="token weight", window="fixed side", window_side=2),
    ]
)


def latents(shape: tuple[int, ...], seed: int, count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def direct(cond: torch.Tensor, uncond: torch.Tensor) -> torch.Tensor:
    """softmax(G G^T / sqrt(C)) G of one image (C, positions...) in float64."""
    nudge = (cond - uncond).double().flatten(1).T  # (T, C)
    weights = (nudge @ nudge.T / math.sqrt(nudge.shape[1])).softmax(1)
    return (weights @ nudge).T.reshape(cond.shape)


@given(SHAPES, SEEDS)
def test_tokens_there_and_back(shape: tuple[int, ...], seed: int) -> None:
    (latent,) = latents(shape, seed, 1)
    tokens, grid = to_tokens(latent), grid_of(latent)
    images = shape[0] * (shape[2] if len(shape) == 5 else 1)
    assert tokens.shape == (images, grid[0] * grid[1], shape[1])
    assert torch.equal(from_tokens(tokens, latent), latent)


def test_a_token_is_a_position_with_its_channels() -> None:
    video = torch.arange(2 * 3 * 2 * 4 * 5.0).view(2, 3, 2, 4, 5)
    assert torch.equal(to_tokens(video)[1 * 2 + 1, 2 * 5 + 3], video[1, :, 1, 2, 3])


@given(SHAPES, SEEDS, SCALES, SCALES)
def test_on_top_of_cfg_it_is_the_formula(
    shape: tuple[int, ...], seed: int, plain: float, attended: float
) -> None:
    cond, uncond, _ = latents(shape, seed)
    sampler = 6.5
    mix = DiffusionMix(attended, plain)
    guided = mix.guide(uncond + sampler * (cond - uncond), cond, uncond, sampler)
    flat = [part.movedim(2, 1).flatten(0, 1) if part.ndim == 5 else part for part in (cond, uncond)]
    mixed = torch.stack([direct(c, u) for c, u in zip(*flat, strict=True)])
    if len(shape) == 5:
        mixed = mixed.unflatten(0, (shape[0], shape[2])).movedim(1, 2)
    wanted = uncond + plain * (cond - uncond) + attended * mixed
    assert torch.allclose(guided.double(), wanted.double(), atol=2e-4, rtol=1e-4)


@given(SHAPES, SEEDS, SCALES, OPTIONS)
def test_terms_add_to_whatever_is_there(
    shape: tuple[int, ...], seed: int, scale: float, igg: IGG
) -> None:
    cond, uncond, other = latents(shape, seed)
    mix = DiffusionMix(scale, igg=igg)
    alone = mix.guide(torch.zeros_like(other), cond, uncond, 4.0)
    assert torch.allclose(mix.guide(other, cond, uncond, 4.0), other + alone, atol=1e-4)


@given(SHAPES, SEEDS, OPTIONS)
def test_absent_and_equal_branches_change_nothing(
    shape: tuple[int, ...], seed: int, igg: IGG
) -> None:
    cond, uncond, denoised = latents(shape, seed)
    assert DiffusionMix(0.0, igg=igg).absent
    assert DiffusionMix(0.0, igg=igg).guide(denoised, cond, uncond, 3.0) is denoised
    assert DiffusionMix(0.0, 3.0, igg).guide(denoised, cond, uncond, 3.0) is denoised
    assert torch.equal(DiffusionMix(2.0, 5.0, igg).guide(denoised, cond, cond, 3.0), denoised)


@given(SHAPES, SEEDS, OPTIONS)
def test_inputs_stay_as_they_are(shape: tuple[int, ...], seed: int, igg: IGG) -> None:
    given_, kept = latents(shape, seed), latents(shape, seed)
    DiffusionMix(1.5, 2.0, igg).guide(*given_, 3.0)
    assert all(torch.equal(a, b) for a, b in zip(given_, kept, strict=True))


@given(SHAPES, SEEDS, OPTIONS)
def test_images_and_frames_do_not_see_each_other(
    shape: tuple[int, ...], seed: int, igg: IGG
) -> None:
    cond, uncond, _ = latents(shape, seed)
    mix = DiffusionMix(igg=igg)
    whole = mix.term(cond, uncond)
    for i in range(shape[0]):
        part = mix.term(cond[i : i + 1], uncond[i : i + 1])
        assert torch.allclose(whole[i : i + 1], part, atol=1e-5)
    if len(shape) == 5:
        frames = [mix.term(cond[:, :, f], uncond[:, :, f]) for f in range(shape[2])]
        assert torch.allclose(whole, torch.stack(frames, 2), atol=1e-5)


@given(SEEDS, st.integers(2, 6), st.integers(2, 6))
def test_sign_of_the_nudge_and_order_of_the_places(seed: int, height: int, width: int) -> None:
    cond, uncond, _ = latents((1, 4, height, width), seed)
    mix = DiffusionMix()
    there, back = mix.term(cond, uncond), mix.term(uncond, cond)
    assert torch.allclose(there, -back, atol=1e-5)  # A does not change with the sign of G
    mirrored = mix.term(cond.flip(-1), uncond.flip(-1))
    assert torch.allclose(mirrored.flip(-1), there, atol=1e-5)


@given(SEEDS)
def test_limits_of_the_attention(seed: int) -> None:
    cond, uncond, _ = latents((2, 4, 5, 6), seed)
    nudge, mix = cond - uncond, DiffusionMix()
    faint = mix.term(cond * 1e-4, uncond * 1e-4)  # low noise: uniform, the mean nudge
    mean = nudge.mean((2, 3), keepdim=True).expand_as(nudge) * 1e-4
    assert torch.allclose(faint, mean, atol=1e-7)
    window = DiffusionMix(igg=IGG(window="fixed side", window_side=1))
    assert torch.allclose(window.term(cond, uncond), nudge, atol=1e-6)  # itself only: CFG
    wide = DiffusionMix(igg=IGG(window="fixed side", window_side=99))
    assert torch.allclose(wide.term(cond, uncond), mix.term(cond, uncond), atol=1e-5)


@settings(max_examples=10)
@given(SEEDS)
def test_half_precision_is_computed_in_single(seed: int) -> None:
    cond, uncond, denoised = (part.bfloat16() for part in latents((1, 4, 8, 8), seed))
    guided = DiffusionMix(1.5).guide(denoised, cond, uncond, 3.0)
    assert guided.dtype == torch.bfloat16
    single = DiffusionMix(1.5).term(cond.float(), uncond.float())
    assert torch.equal(DiffusionMix(1.5).term(cond, uncond), single)


@pytest.mark.parametrize("shape", [(2, 4), (1, 1, 900), (1, 2, 3, 4, 5, 6)])
def test_shapes_without_positions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="positions and channels"):
        DiffusionMix().guide(*latents(shape, 0), 3.0)


@pytest.mark.parametrize("scales", [(math.nan, None), (math.inf, 1.0), (1.0, -math.inf)])
def test_scales_are_numbers(scales: tuple[float, float | None]) -> None:
    with pytest.raises(ValueError, match="finite"):
        DiffusionMix(*scales)


@given(SEEDS, OPTIONS)
def test_packed_latents_attend_each_to_itself(seed: int, igg: IGG) -> None:
    """A film and its sound, packed as ComfyUI packs them, (B, 1, numbers)."""
    shapes = [(2, 3, 2, 4, 5), (2, 6, 7)]
    pairs = [latents(shape, seed + i, 2) for i, shape in enumerate(shapes)]
    cond, uncond = (torch.cat([pair[k].flatten(1)[:, None] for pair in pairs], -1) for k in (0, 1))
    made = DiffusionMix(igg=igg).term(cond, uncond, shapes)
    assert made.shape == cond.shape
    for part, pair in zip(unpacked(made, shapes), pairs, strict=True):
        assert torch.allclose(part, DiffusionMix(igg=igg).term(*pair), atol=1e-5)
    with pytest.raises(ValueError, match="several latents packed into one"):
        DiffusionMix(igg=igg).term(cond, uncond)
