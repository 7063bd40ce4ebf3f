"""The Heun sampler and guidance inside it: exact solutions, evaluations, intervals, refusals."""

import math
from itertools import pairwise

import pytest
import torch
from ar_guidance.guidance.apg import APG
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.diffusion import DiffusionMix
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.heun import Heun, Progress, generate
from torch import Tensor


def gaussian(mean: float, deviation: float, calls: list | None = None):
    """D of data with a normal distribution: exactly known, and so is where a noise image ends."""

    def denoise(x: Tensor, sigma: Tensor, *rest: object) -> Tensor:
        if calls is not None:
            calls.append(float(sigma))
        share = deviation**2 / (deviation**2 + sigma**2)
        return mean + share * (x - mean)

    return denoise


NOISE = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0))


def test_levels_fall_from_the_first_to_the_last_and_end_at_zero() -> None:
    levels = Heun().sigmas()
    assert len(levels) == 33 and levels[-1] == 0
    assert levels[0].item() == pytest.approx(80, rel=1e-5)
    assert levels[-2].item() == pytest.approx(0.002, rel=1e-3)
    assert (levels.diff() < 0).all()
    assert Heun(steps=1).sigmas().tolist() == pytest.approx([80.0, 0.0])


def test_it_ends_where_the_equation_does() -> None:
    settings, mean, deviation = Heun(), 0.3, 0.5
    made = generate(gaussian(mean, deviation), NOISE, settings)
    shrink = deviation / math.sqrt(deviation**2 + settings.sigma_max**2)
    exact = mean + (NOISE * settings.sigma_max - mean) * shrink
    assert (made - exact).abs().max() < 0.05
    coarse = generate(gaussian(mean, deviation), NOISE, Heun(steps=8))
    assert (made - exact).abs().max() * 5 < (coarse - exact).abs().max()  # second order


def test_every_step_but_the_last_looks_twice() -> None:
    calls: list[float] = []
    seen: list[Progress] = []
    generate(gaussian(0.0, 0.5, calls), NOISE, Heun(steps=5), seen.append)
    assert len(calls) == 9 and [p.index for p in seen] == [0, 1, 2, 3, 4]
    levels = Heun(steps=5).sigmas().tolist()
    both = [level for pair in pairwise(levels) for level in pair]
    assert calls == pytest.approx(both[:-1])
    assert [p.sigma for p in seen] == pytest.approx(levels[:-1])


def test_churn_takes_noise_only_between_its_levels() -> None:
    taken: list[int] = []

    def fresh() -> Tensor:
        taken.append(1)
        return torch.ones_like(NOISE)

    settings = Heun(steps=8, churn=4, churn_min=0.05, churn_max=50)
    made = generate(gaussian(0.0, 0.5), NOISE, settings, fresh=fresh)
    levels = settings.sigmas()[:-1]
    assert len(taken) == int(((levels >= 0.05) & (levels <= 50)).sum()) > 0
    assert not torch.equal(made, generate(gaussian(0.0, 0.5), NOISE, Heun(steps=8)))


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"sigma_min": 0.0},
        {"sigma_min": 90.0},
        {"sigma_max": math.inf},
        {"rho": 0.0},
        {"churn": -1.0},
        {"churn_min": 5.0, "churn_max": 1.0},
        {"sigma_max": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError):
        Heun(**settings)


def guided(guidances: tuple, steps: int = 6, guide: bool = True, **more) -> tuple[Guided, list]:
    calls: list[float] = []
    run = diffusion_run(steps, (6, 8))
    below = gaussian(-0.2, 0.7, calls)
    return Guided.of(gaussian(0.3, 0.5), below if guide else None, guidances, run, **more), calls


def test_the_mix_is_the_papers_formula() -> None:
    x, sigma = NOISE * 3, torch.tensor(3.0)
    denoiser, _ = guided((Mixed(scale=1.4, igg_scale=-0.4, schedule="constant"),))
    cond, uncond = gaussian(0.3, 0.5)(x, sigma), gaussian(-0.2, 0.7)(x, sigma)
    nudge = (cond - uncond).flatten(2).transpose(1, 2)
    attended = (nudge @ nudge.transpose(1, 2) / 2).softmax(-1) @ nudge  # sqrt(d) = 2
    wanted = uncond + 1.4 * (cond - uncond) - 0.4 * attended.transpose(1, 2).view_as(x)
    torch.testing.assert_close(denoiser(x, sigma, 2, True), wanted)
    chained, _ = guided((CFG(1.4, "constant"), IGG(-0.4, "constant")))
    torch.testing.assert_close(chained(x, sigma, 2, True), wanted)
    patched = DiffusionMix(-0.4, 1.4).guide(uncond + 5 * (cond - uncond), cond, uncond, 5.0)
    torch.testing.assert_close(patched, wanted, atol=1e-5, rtol=1e-5)


def test_scale_1_and_an_empty_chain_never_ask_the_guide() -> None:
    for guidances in ((), (CFG(1.0),), (IGG(0.0, "constant"),)):
        denoiser, calls = guided(guidances)
        made = generate(denoiser, NOISE, Heun(steps=6))
        assert not calls and torch.equal(made, generate(gaussian(0.3, 0.5), NOISE, Heun(steps=6)))


def test_outside_the_interval_the_guide_is_not_asked_and_nothing_is_recorded() -> None:
    recorder = TraceRecorder(((6, 8),) * 6)
    denoiser, calls = guided((CFG(2.0, "constant", start=0.2, end=0.6),), recorder=recorder)
    generate(denoiser, NOISE, Heun(steps=6))
    assert len(calls) == 2 * 3  # steps 1, 2, 3, twice each
    trace = recorder.finish()
    acted = [[m is not None for m in trace.maps[name]] for name in ("nudge", "added")]
    assert acted == [[False, True, True, True, False, False]] * 2
    assert set(trace.maps) == {"nudge", "added", "cfg direction"}
    assert trace.maps["nudge"][1].shape == (2, 6, 8)


def test_recording_changes_nothing_and_keeps_the_first_of_both_evaluations() -> None:
    recorder = TraceRecorder(((6, 8),) * 6)
    guidance = (CFG(2.0, "constant"),)
    made = generate(guided(guidance, recorder=recorder)[0], NOISE, Heun(steps=6))
    assert torch.equal(made, generate(guided(guidance)[0], NOISE, Heun(steps=6)))
    x = NOISE * 80
    nudge = gaussian(0.3, 0.5)(x, torch.tensor(80.0)) - gaussian(-0.2, 0.7)(x, torch.tensor(80.0))
    first = recorder.finish().maps["nudge"][0]
    torch.testing.assert_close(first.float(), nudge.norm(dim=1), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("method", [APG, SSG, SoftCFG, HiddenCFG])
def test_methods_of_token_models_are_refused(method: type) -> None:
    with pytest.raises(ValueError, match=r"diffusion|mix branches"):
        guided((method(),))


def test_guidance_without_a_guide_says_what_to_load() -> None:
    with pytest.raises(ValueError, match="AR Load EDM2"):
        guided((CFG(2.0),), guide=False)
    guided((CFG(1.0),), guide=False)
