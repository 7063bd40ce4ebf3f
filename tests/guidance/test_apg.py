"""APG against its paper's algorithm, written out in float64, and the readings for token logits."""

import pytest
import torch
from ar_guidance.guidance.apg import APG
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain

GRIDS = ((2, 2), (2, 2), (4, 4))
RUN = RunInfo("scale", GRIDS)


def steps(seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(2, h * w, 9, generator=generator) * 3,
            torch.randn(2, h * w, 9, generator=generator),
        )
        for h, w in GRIDS
    ]


def guided(guidance: CFG) -> list[torch.Tensor]:
    going = Chain((guidance,)).begin(RUN)
    return [going.apply(k, c, u) for k, (c, u) in enumerate(steps())]


def algorithm_1(scale: float, eta: float, momentum: float, limit: float) -> list[torch.Tensor]:
    """The paper's listing for vectors of one token each, over the two steps of one grid."""
    average, made = torch.zeros(()), []
    for cond, uncond in steps()[:2]:
        c, u = cond.double(), uncond.double()
        c = c - c.mean(-1, keepdim=True)
        u = u - u.mean(-1, keepdim=True)
        average = c - u + momentum * average
        length = average.pow(2).mean(-1, keepdim=True).sqrt()
        scaled = average * torch.minimum(torch.ones(()), limit / length) if limit else average
        axis = c / c.norm(dim=-1, keepdim=True)
        parallel = (scaled * axis).sum(-1, keepdim=True) * axis
        made.append(cond.double() + (scale - 1) * (scaled - parallel + eta * parallel))
    return made


@pytest.mark.parametrize(
    ("eta", "momentum", "limit"),
    [(0, 0, 0), (0.3, 0, 0), (0, -0.5, 0), (0, 0, 1.2), (-0.2, 0.5, 1)],
)
def test_it_is_the_published_algorithm(eta: float, momentum: float, limit: float) -> None:
    made = guided(APG(5.0, "constant", parallel=eta, momentum=momentum, limit=limit))
    for ours, theirs in zip(made, algorithm_1(5.0, eta, momentum, limit), strict=False):
        assert torch.allclose(ours.double(), theirs, atol=1e-4)


def test_everything_kept_is_cfg_but_for_a_constant() -> None:
    plain, kept = guided(CFG(5.0, "constant")), guided(APG(5.0, "constant", parallel=1.0))
    for a, b in zip(plain, kept, strict=True):
        assert torch.allclose(a.log_softmax(-1), b.log_softmax(-1), atol=1e-4)


def test_what_is_added_stands_at_right_angles_to_the_prediction() -> None:
    for (cond, _), made in zip(steps(), guided(APG(5.0, "constant")), strict=True):
        axis = cond - cond.mean(-1, keepdim=True)
        assert torch.allclose(((made - cond) * axis).sum(-1), torch.zeros(()), atol=1e-3)


def test_no_token_is_pushed_beyond_the_limit() -> None:
    for (cond, _), made in zip(steps(), guided(APG(5.0, "constant", limit=0.5)), strict=True):
        assert ((made - cond).square().mean(-1).sqrt() <= 4 * 0.5 + 1e-4).all()


def test_momentum_reaches_the_next_scale() -> None:
    plain, pushed = guided(APG(5.0, "constant")), guided(APG(5.0, "constant", momentum=-0.5))
    assert torch.equal(plain[0], pushed[0])
    assert not torch.allclose(plain[2], pushed[2], atol=1e-2)
