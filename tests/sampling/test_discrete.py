"""Discrete diffusion's loop: what is revealed when, kept tokens, seeds, filters, guidance, the purity prior."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.models.vq_diffusion.families import FAMILY_CLASS
from ar_guidance.sampling.discrete import generate, truncated, with_mask
from ar_guidance.sampling.draw import Filters, Streams
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.plan import SamplerSettings, facts, plan, steps
from ar_guidance.sampling.reveal import Purity, Reveal, Revealing, released_shares
from ar_guidance.tests.tiny_vq_diffusion import config, network
from torch import Tensor

CPU = torch.device("cpu")
CONFIG = config()
NETWORK = network(CONFIG)
MASK = CONFIG.vocab


@dataclass
class Model:
    """What the plan asks of a model."""

    config: Any = CONFIG
    family: Any = FAMILY_CLASS
    name: str = "tiny.pth"

    @property
    def defaults(self) -> Any:
        return self.family.defaults_for(self.config)


def run(
    guidances: tuple[Any, ...] = (CFG(3.0),),
    settings: SamplerSettings | None = None,
    labels: tuple[int, ...] = (1, 3),
    first: int = 0,
    kept: KeptSequence | None = None,
    on_step: Callable[[Any], None] = lambda progress: None,
) -> Tensor:
    given = torch.tensor(labels)
    conditions = (given, NETWORK.null_condition(len(labels)))
    streams = Streams(7, len(labels), first)
    settings = settings or SamplerSettings()
    job = plan(Model(), conditions, len(labels), guidances, settings, streams)
    with torch.inference_mode():
        return generate(NETWORK, replace(job, kept=kept), CPU, on_step).tokens


def test_everything_is_revealed_in_the_end() -> None:
    hidden: list[int] = []
    made = run(on_step=lambda p: hidden.append(int((p.tokens == MASK).sum())))
    assert len(hidden) == CONFIG.steps and hidden[-1] == 0 and max(hidden) > 0
    assert made.shape == (2, 16) and int(made.max()) < MASK


def test_image_i_of_a_batch_is_image_i_alone() -> None:
    both = run()
    assert torch.equal(run(labels=(1,))[0], both[0])
    assert torch.equal(run(labels=(3,), first=1)[0], both[1])
    assert not torch.equal(run(labels=(1,), first=5)[0], both[0])


def test_the_purity_prior_draws_places_from_every_image_s_own_stream() -> None:
    settings = SamplerSettings(reveal=Reveal(purity=True))
    both = run(settings=settings)
    assert torch.equal(run(settings=settings, labels=(1,))[0], both[0])
    assert torch.equal(run(settings=settings, labels=(3,), first=1)[0], both[1])


def test_greedy_takes_no_random_numbers() -> None:
    still = SamplerSettings(temperature=0.0)
    assert torch.equal(run(settings=still), run(settings=still, first=9))


def test_kept_tokens_are_held_at_every_step() -> None:
    tokens, mask = torch.arange(16)[None] % MASK, torch.arange(16) < 6
    seen: list[Tensor] = []
    kept = KeptSequence(tokens, mask[None])
    made = run(kept=kept, on_step=lambda p: seen.append(p.before))
    assert all(torch.equal(x[:, :6], tokens[:, :6].expand(2, -1)) for x in (*seen, made))
    assert not torch.equal(made[:, 6:], tokens[:, 6:].expand(2, -1))


def test_without_guidance_the_second_branch_is_not_computed() -> None:
    seen: list[bool] = []
    run((), on_step=lambda p: seen.append(p.uncond is None))
    assert all(seen)
    seen.clear()
    run((CFG(3.0, end=0.5),), on_step=lambda p: seen.append(p.uncond is None))
    assert not seen[0] and seen[-1]


@pytest.mark.parametrize("guidance", [CFG(3.0), IGG(3.0), SSG(0.3)])
def test_guidances_act(guidance: Any) -> None:
    guided: list[Tensor] = []
    run((guidance,), on_step=lambda p: guided.append((p.guided - p.cond).abs().amax()))
    assert max(guided) > 1e-2


def test_ssg_of_strength_0_and_softcfg() -> None:
    assert torch.equal(run((CFG(3.0), SSG(0.0))), run((CFG(3.0),)))
    with pytest.raises(ValueError, match="reads all tokens again at every step"):
        run((SoftCFG(),))


def test_ssg_takes_the_previous_step_or_its_low_frequencies() -> None:
    smooth, whole = (run((CFG(3.0), SSG(0.5, prior=prior))) for prior in ("DSE", "linear"))
    assert not torch.equal(smooth, whole)
    info = RunInfo("discrete", ((4, 4),) * 2, causal=False)
    before = torch.randn(1, 4, 4, 6)
    low = SSG(0.5).prior_of(before, (4, 4), info)
    assert torch.allclose(low.mean((1, 2)), before.mean((1, 2)), atol=1e-5)
    assert torch.allclose(SSG(0.5).prior_of(low, (4, 4), info), low, atol=1e-5)
    assert torch.equal(SSG(0.5, prior="nearest").prior_of(before, (4, 4), info), before)


# --- filters ----------------------------------------------------------------------------------------------------------


def test_truncation_keeps_the_likeliest_and_does_not_renormalise() -> None:
    logs = with_mask(torch.tensor([0.5, 0.3, 0.15, 0.05]).log())[None, None]
    for rate, kept in ((0.0, 5), (0.4, 1), (0.5, 1), (0.6, 2), (0.9, 3), (0.99, 4)):
        cut = truncated(logs, Filters(top_p=rate))
        alive = cut > -70
        assert int(alive.sum()) == min(kept, 4) and torch.equal(cut[alive], logs[alive])
    assert int((truncated(logs, Filters(top_k=2)) > -70).sum()) == 2
    colder = truncated(logs, Filters(temperature=0.5, top_p=0.0))[0, 0, :2]
    assert colder.exp()[0] / colder.exp()[1] == pytest.approx((0.5 / 0.3) ** 2, rel=1e-4)


# --- the order of revealing -------------------------------------------------------------------------------------------


def test_a_stride_visits_fewer_steps_and_always_the_last() -> None:
    assert Reveal().visits(4) == (3, 2, 1, 0)
    assert Reveal(2).visits(25)[-2:] == (2, 0) and Reveal(2).visits(4) == (3, 1, 0)
    settings, counts = SamplerSettings(reveal=Reveal(4)), []
    made = run(settings=settings, on_step=lambda p: counts.append((p.count, p.t)))
    assert [t for _, t in counts] == [19, 15, 11, 7, 3, 0]
    assert counts[0][0] == len(steps(Model(), settings)) == facts(Model(), settings).count == 6
    assert int(made.max()) < MASK


@pytest.mark.parametrize(("places", "count"), [(100, 1024), (100, 256), (25, 36), (20, 16)])
def test_shares_of_the_purity_prior_add_up(places: int, count: int) -> None:
    shares = released_shares(places, count)
    assert len(shares) == places and sum(shares[1:]) == count and min(shares) >= 0


def test_the_purity_prior_reveals_its_share_at_every_step() -> None:
    settings, hidden = SamplerSettings(reveal=Reveal(purity=True)), []
    made = run(settings=settings, on_step=lambda p: hidden.append((p.tokens == MASK).sum(1)))
    shares = released_shares(CONFIG.steps, 16)[::-1]
    for k, left in enumerate(hidden[:-1]):
        assert left.tolist() == [16 - sum(shares[: k + 1])] * 2
    assert int(made.max()) < MASK and not torch.equal(made, run())


def test_a_step_that_reveals_nothing_ends() -> None:
    """Every candidate is the mask: nothing more can come of the prediction."""
    purity = Purity((0, 3), lambda weights, counts: [torch.arange(n) for n in counts])
    revealing, hidden = Revealing(purity, 1, 1), torch.full((1, 4), 5)
    logs = torch.full((1, 4, 6), -2.0)
    assert torch.equal(revealing.reveal(logs, hidden, lambda logs: hidden), hidden)
    assert revealing.done


def test_predictions_that_are_no_numbers_are_refused() -> None:
    broken = network(CONFIG)
    broken.transformer.to_logits[1].bias.data[3] = float("nan")
    conditions = (torch.tensor([1]), broken.null_condition(1))
    job = plan(Model(), conditions, 1, (), SamplerSettings(), Streams(7, 1))
    with pytest.raises(ValueError, match="not finite"):
        generate(broken, job, CPU)


def test_settings_that_contradict() -> None:
    for bad in ({"stride": 0}, {"stride": 2, "purity": True}, {"weight": -1.0}):
        with pytest.raises(ValueError):
            Reveal(**bad)
    with pytest.raises(ValueError, match="no code vectors to mix"):
        run(settings=SamplerSettings(smooth=True))
    with pytest.raises(ValueError, match="temperatures"):
        run(settings=SamplerSettings(temperatures=(1.0,) * 19 + (0.5,)))
