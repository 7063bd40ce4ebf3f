"""TCFG and CFG-Zero* against their papers' equations, written out in float64, and the readings for token logits."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.cfg_zero import CFGZero
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.corrected import IMAGE, TOKEN, Corrected
from ar_guidance.guidance.head import CATEGORICAL, Head
from ar_guidance.guidance.tcfg import TCFG
from torch import Tensor

RUN = RunInfo("scale", ((2, 3),))
BOTH = [TCFG(5.0, "constant"), CFGZero(5.0, "constant")]
each_method = pytest.mark.parametrize("method", BOTH, ids=lambda method: method.name)


def branches(seed: int = 0, tokens: int = 6, vocab: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cond, uncond = torch.randn(2, 2, tokens, vocab, generator=generator)
    return 3 * cond, uncond + cond


def guided(
    guidance: CFG, cond: Tensor, uncond: Tensor, run: RunInfo = RUN, head: Head = CATEGORICAL
) -> Tensor:
    return Chain((guidance,)).begin(run).apply(0, cond, uncond, head)


def tangential(cond: Tensor, uncond: Tensor) -> Tensor:
    """TCFG: u without its part along the second singular vector; rows (N, D)."""
    _, _, vectors = torch.linalg.svd(torch.stack((uncond, cond), dim=1), full_matrices=False)
    first = vectors[:, 0]
    return (uncond * first).sum(-1, keepdim=True) * first


def optimised(cond: Tensor, uncond: Tensor) -> Tensor:
    """CFG-Zero*: s* u; rows (N, D)."""
    return (cond * uncond).sum(-1, keepdim=True) / uncond.square().sum(-1, keepdim=True) * uncond


PUBLISHED = {"tcfg": tangential, "cfg_zero": optimised}


@pytest.mark.parametrize("vectors", [IMAGE, TOKEN])
@each_method
def test_it_is_the_published_equation(method: Corrected, vectors: str) -> None:
    """u' + gamma (c - u') for c and u without each token's mean, which changes no probability."""
    cond, uncond = branches()
    c, u = (x.double() - x.double().mean(-1, keepdim=True) for x in (cond, uncond))
    rows = (2, -1) if vectors == IMAGE else (12, -1)
    corrected = PUBLISHED[method.name](c.reshape(rows), u.reshape(rows)).reshape(c.shape)
    expected = (corrected + 5 * (c - corrected)).log_softmax(-1)
    made = guided(replace(method, vectors=vectors), cond, uncond).double().log_softmax(-1)
    assert torch.allclose(made, expected, atol=1e-4)


@each_method
def test_what_counts_as_one_vector_matters(method: Corrected) -> None:
    one, each = (guided(replace(method, vectors=v), *branches()) for v in (IMAGE, TOKEN))
    assert not torch.allclose(one, each, atol=1e-1)


@each_method
def test_it_is_not_plain_cfg(method: Corrected) -> None:
    plain = guided(CFG(5.0, "constant"), *branches()).log_softmax(-1)
    assert not torch.allclose(guided(method, *branches()).log_softmax(-1), plain, atol=1e-1)


def test_a_prediction_that_is_merely_surer_is_not_pushed_by_cfg_zero_and_is_by_tcfg_as_by_cfg() -> (
    None
):
    cond, _ = branches()
    cond = cond - cond.mean(-1, keepdim=True)
    assert torch.allclose(guided(BOTH[1], cond, 0.5 * cond), cond, atol=1e-4)
    plain = guided(CFG(5.0, "constant"), cond, 0.5 * cond)
    assert torch.allclose(guided(BOTH[0], cond, 0.5 * cond), plain, atol=1e-4)


@each_method
def test_of_bits_a_constant_on_both_sides_of_one_changes_nothing(method: Corrected) -> None:
    cond, uncond = branches(vocab=8)
    shift = torch.randn(2, 6, 4, 1).expand(-1, -1, -1, 2).flatten(-2)
    head = Head(bits=4)
    plain, moved = (
        head.unflatten(guided(method, cond + s, uncond + s, head=head)).log_softmax(-1)
        for s in (torch.zeros(()), shift)
    )
    assert torch.allclose(plain, moved, atol=1e-4)


@each_method
def test_several_tokens_read_in_one_pass_are_as_one_by_one(method: Corrected) -> None:
    run = RunInfo("token", ((1, 1),) * 6)
    cond, uncond = branches()
    together = guided(method, cond, uncond, run)
    alone = [guided(method, cond[:, [k]], uncond[:, [k]], run) for k in range(6)]
    assert torch.allclose(together, torch.cat(alone, dim=1), atol=1e-5)


@each_method
def test_no_prediction_at_all_stays_finite(method: Corrected) -> None:
    cond, uncond = branches()
    for c, u in ((cond, 0 * uncond), (0 * cond, uncond), (0 * cond, 0 * uncond)):
        assert guided(method, c, u).isfinite().all()


@each_method
def test_diffusion_models_are_refused(method: Corrected) -> None:
    with pytest.raises(ValueError, match="use CFG or IGG"):
        Chain((method,)).check(RunInfo("diffusion", ((8, 8),)))
