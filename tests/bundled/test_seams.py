"""In- and out-painting with the shipped model: nothing outside the mask changes, and no seam is seen."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from ar_guidance.sampling.edit import repainted_cells
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.bundled.seams import (
    How,
    Sources,
    edge_energy,
    extended,
    frames,
    masks,
    painted,
    seam,
)

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
BAR = 1.2  # gradient energy across the mask's edge, as a multiple of that of the same images before
IMAGES = 24


@pytest.fixture(scope="module")
def pair():
    return load_pair(BUNDLED)


@pytest.fixture(scope="module")
def sources(pair) -> Sources:
    return Sources.draw(pair, IMAGES, seed=11)


@pytest.mark.parametrize("shape", ["off the grid", "disc"])
def test_the_default_way_leaves_no_seam(pair, sources, shape) -> None:
    mask = masks()[shape]
    new, result = painted(pair, sources, mask, How(), same=False, seed=12)
    outside = (mask[0] == 0).expand(IMAGES, -1, -1)
    assert torch.equal(new[outside], sources.pixels[outside])
    assert (new - sources.pixels)[~outside].abs().mean() > 0.05  # something was painted
    assert seam(new, sources.pixels, mask) <= BAR
    grid = pair[1].config.grids[-1]
    kept = ~repainted_cells(mask, grid).flatten(1).expand(IMAGES, -1)
    assert torch.equal(result.tokens[-1][kept], sources.made.tokens[-1][kept])
    assert torch.equal(result.tokens[0], sources.made.tokens[0])


@pytest.mark.parametrize("shape", sorted(frames()))
def test_what_is_drawn_around_an_image_leaves_no_frame(pair, sources, shape) -> None:
    mask = frames()[shape]
    new, _ = extended(pair, sources, mask, How(), same=False, seed=12)
    kept = (mask[0] == 0).expand(IMAGES, -1, -1)
    assert torch.equal(new[kept], sources.pixels[kept])
    assert (new - sources.pixels)[~kept].abs().mean() > 0.03  # something was drawn
    assert seam(new, sources.pixels, mask) <= BAR


@pytest.mark.parametrize("margin", [8, 16])
def test_an_image_made_smaller_leaves_no_frame(pair, sources, margin) -> None:
    """Here nothing is known of what is around: the steps one pixel further in are what is compared with."""
    side = 64 - 2 * margin
    small = F.interpolate(sources.pixels.movedim(-1, 1), size=(side, side), mode="area")
    placed = F.pad(small, (margin,) * 4).movedim(1, -1)
    mask, within = torch.ones(2, 1, 64, 64)
    mask[:, margin:-margin, margin:-margin] = 0
    within[:, margin + 1 : -margin - 1, margin + 1 : -margin - 1] = 0
    new, _ = extended(pair, replace(sources, pixels=placed), mask, How(), same=True, seed=12)
    assert edge_energy(new, mask).mean() <= BAR * edge_energy(new, within).mean()


def test_a_hard_cut_is_seen_by_the_measure(sources) -> None:
    mask = masks()["disc"]
    cut = torch.where(mask[..., None] > 0, sources.pixels.flip(0), sources.pixels)
    assert seam(cut, sources.pixels, mask) > 2 * BAR


def test_edge_energy_of_a_step() -> None:
    mask = masks()["right half"]
    image = mask[..., None].expand(1, -1, -1, 3)
    assert edge_energy(image, mask).item() == 1
    assert edge_energy(torch.zeros_like(image), mask).item() == 0
