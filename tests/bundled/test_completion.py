"""Completion: what is kept stays, what SSG changes is compared on the same random numbers, masks with nothing to do are refused."""

import pytest
import torch
from ar_guidance.benchmarks.completion import Completion, by_classifier, check_mask, half_kept, told
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.sampling.edit import KeptTokens, keep_outside


def test_masks_with_nothing_to_do_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing is left to complete"):
        check_mask(torch.ones(8, 8))
    with pytest.raises(ValueError, match="nothing to complete it from"):
        check_mask(torch.zeros(8, 8))
    check_mask(half_kept((8, 8)))


def test_the_kept_half_stays_and_the_other_is_drawn_again() -> None:
    completion, mask = Completion(2), half_kept((8, 8))
    tokens, _ = completion.draw(0, 0, (CFG(4.0),))
    masks = keep_outside(mask, completion.grids)
    again, seen = completion.draw(0, 1, (CFG(4.0),), KeptTokens(tokens, masks))
    kept = masks[-1].reshape(1, -1).expand(2, -1)
    assert torch.equal(again[-1][kept], tokens[-1][kept])
    assert not torch.equal(again[-1][~kept], tokens[-1][~kept])
    assert len(seen) == len(completion.grids)


def test_distances_are_of_every_image_and_scale() -> None:
    completion, measure = Completion(2), by_classifier()
    chains = {"CFG": (CFG(4.0),), "same": (CFG(4.0), SSG(0.0)), "SSG": (CFG(4.0), SSG(1.2))}
    found = completion.distances(half_kept((8, 8)), chains, measure)
    assert found["CFG"].shape == (2, len(completion.grids))
    assert torch.allclose(found["same"], found["CFG"], atol=1e-4)
    assert not torch.allclose(found["SSG"], found["CFG"], atol=1e-2)
    rows = told({name: found[name] for name in ("CFG", "SSG")})
    assert rows["SSG − CFG"][3].mean == pytest.approx(
        (found["SSG"] - found["CFG"])[:, 3].mean().item(), abs=1e-5
    )
