"""Colours of feature maps: exact where the decoder is linear, bounded everywhere."""

import pytest
import torch
from ar_guidance.sampling.preview import colour, fit_colours
from hypothesis import given
from hypothesis import strategies as st


@given(seed=st.integers(0, 2**31), channels=st.integers(1, 12), side=st.integers(4, 9))
def test_a_linear_decoder_is_found(seed: int, channels: int, side: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(2, channels, side, side, generator=draw)
    matrix = torch.randn(channels, 3, generator=draw) * 0.05
    small = features.movedim(1, -1) @ matrix + 0.5
    images = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    fitted = fit_colours(features, images)
    assert fitted.shape == (channels + 1, 3)
    inside = (small > 0.01) & (small < 0.99)
    assert torch.allclose(colour(features, fitted)[inside], small[inside], atol=0.01)


@pytest.mark.parametrize("channels", [3, 64])
def test_fewer_patches_than_channels_or_no_contrast(channels: int) -> None:
    features = torch.zeros(1, channels, 2, 2)
    fitted = fit_colours(features, torch.full((1, 8, 8, 3), 0.25))
    assert torch.allclose(colour(features, fitted), torch.full((1, 2, 2, 3), 0.25), atol=1e-4)
    noisy = torch.randn(1, channels, 2, 2)
    colours = colour(noisy, fit_colours(noisy, torch.rand(1, 8, 8, 3)))
    assert colours.isfinite().all() and colours.min() >= 0 and colours.max() <= 1
