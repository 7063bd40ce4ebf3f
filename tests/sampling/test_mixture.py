"""Laws of several conditions in one image, through the loop of every kind of family."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.models.vq_diffusion.families import FAMILY_CLASS
from ar_guidance.sampling import discrete, scalewise, tokenwise
from ar_guidance.sampling.edit import KeptTokens
from ar_guidance.sampling.mixed import branch_count
from ar_guidance.sampling.mixture import Mixture, resolve
from ar_guidance.sampling.parallel import Window
from ar_guidance.sampling.plan import SamplerSettings, plan
from ar_guidance.sampling.regions import Layer, Region
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.tiny import CPU, FAMILIES, TinyModel, streams_of
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES
from ar_guidance.tests.tiny_vq_diffusion import config, network
from torch import Tensor

LEFT = torch.zeros(1, 12, 12)
LEFT[:, :, :5] = 1
ALL, HALF = torch.ones(1, 8, 8), Region(weight=0.5)
GUIDED = (CFG(3.0, "constant"),)
DROPPED = (CFG(3.0, "constant", end=0.5),)


@cache
def model_of(family: str) -> Any:
    if family == "vq_diffusion":
        return TinyModel(network(config()), None, family=FAMILY_CLASS)
    return {**FAMILIES, **TOKEN_FAMILIES}[family]()


EVERY = sorted({**FAMILIES, **TOKEN_FAMILIES, "vq_diffusion": None})
every = pytest.mark.parametrize("family", EVERY)


def pair(family: str, labels: list[int]) -> tuple[Any, Any]:
    model = model_of(family)
    null = model.null or model.network.null_condition
    return model.condition(labels), null(len(labels))


def mixture(family: str, parts: list[list[int]], regions: list[Region]) -> tuple[Any, Any]:
    """The first of the parts is the background of the others."""
    layer = Layer(tuple(regions))
    both = [pair(family, labels) for labels in parts]
    paths = tuple(((layer, n),) for n in range(len(parts)))
    return tuple(Mixture(side, paths) for side in zip(*both, strict=True))  # pyright: ignore[reportReturnType]


def job_of(
    family: str,
    given: tuple[Any, Any],
    guidances: tuple[Guidance, ...],
    seed: int = 1,
    images: list[int] = [0, 1],  # noqa: B006
) -> Any:
    smooth = False if family in FAMILIES else None
    settings = SamplerSettings(smooth=smooth, parallel=False)
    streams = streams_of(seed, images)
    return plan(model_of(family), given, len(images), guidances, settings, streams)


def loop(family: str, job: Any) -> list[Any]:
    """What a run reports."""
    model, steps = model_of(family), []
    with torch.inference_mode():
        if family in FAMILIES:
            scalewise.generate(model.network, model.codec, job, CPU, steps.append)
        elif family == "vq_diffusion":
            discrete.generate(model.network, job, CPU, steps.append)
        else:
            tokenwise.generate(model.network, job, CPU, steps.append)
    return steps


def run(
    family: str,
    given: tuple[Any, Any],
    guidances: tuple[Guidance, ...] = GUIDED,
    seed: int = 1,
    widest: int = 1,
    images: list[int] = [0, 1],  # noqa: B006
) -> list[Tensor]:
    """Tokens and guided logits of every step, and the feature map where there is one."""
    job = job_of(family, given, guidances, seed, images)
    steps = loop(family, replace(job, widest=widest) if widest > 1 else job)
    features = [steps[-1].features] if family in FAMILIES else []
    return [step.tokens.clone() for step in steps] + [step.guided for step in steps] + features


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    """Tokens are the same, numbers up to rounding."""
    return all(
        torch.allclose(a, b, atol=1e-4) if a.is_floating_point() else torch.equal(a, b)
        for a, b in zip(one, other, strict=True)
    )


@every
@pytest.mark.parametrize("guidances", [(), GUIDED, DROPPED], ids=["none", "cfg", "dropped"])
def test_a_region_that_is_everything_is_its_condition_alone(family: str, guidances: Any) -> None:
    given = mixture(family, [[1, 2], [3, 4]], [Region(ALL)])
    alone = run(family, pair(family, [3, 4]), guidances)
    assert all(torch.equal(a, b) for a, b in zip(run(family, given, guidances), alone, strict=True))


@every
def test_equal_conditions_are_one(family: str) -> None:
    given = mixture(family, [[3, 4], [3, 4]], [Region(LEFT, 0.7)])
    job = job_of(family, given, GUIDED)
    assert job.mixing is None and len(job.conditions) == 2
    alone = run(family, pair(family, [3, 4]))
    assert all(torch.equal(a, b) for a, b in zip(run(family, given), alone, strict=True))


@every
def test_the_order_of_regions_does_not_matter(family: str) -> None:
    one, other = Region(LEFT), Region(1 - LEFT)

    def law(seed: int) -> bool:
        a = mixture(family, [[0, 0], [1, 2], [3, 4]], [one, other])
        b = mixture(family, [[0, 0], [3, 4], [1, 2]], [other, one])
        return equal(run(family, a, seed=seed), run(family, b, seed=seed))

    assert holds(law)


@every
def test_regions_change_the_image(family: str) -> None:
    given = mixture(family, [[1, 2], [3, 4]], [Region(LEFT)])
    made = run(family, given)
    for labels in ([1, 2], [3, 4]):
        assert not equal(made, run(family, pair(family, labels)))


@every
def test_an_image_of_a_batch_is_the_image_alone(family: str) -> None:
    regions = [Region(torch.cat((LEFT, 1 - LEFT)), 0.8), Region(start=0.3)]

    def law(seed: int) -> bool:
        both = run(family, mixture(family, [[1, 2], [3, 4], [0, 1]], regions), seed=seed)
        for image in (0, 1):
            own = [region.rows([image]) for region in regions]
            given = mixture(family, [[1 + image], [3 + image], [image]], own)
            alone = run(family, given, seed=seed, images=[image])
            if not equal([part[image : image + 1] for part in both], alone):
                return False
        return True

    assert holds(law)


def mean_logits(family: str, shares: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """First step's logits: of a blend, and the blend of those of both conditions."""

    def first(given: Any) -> Tensor:
        return loop(family, job_of(family, given, ()))[0].cond

    blended = first(mixture(family, [[1, 2], [3, 4]], [Region(weight=shares[1])]))
    one, other = (first(pair(family, labels)) for labels in ([1, 2], [3, 4]))
    return blended, shares[0] * one + shares[1] * other


@every
def test_a_blend_is_the_weighted_mean_of_logits(family: str) -> None:
    blended, mean = mean_logits(family, (0.75, 0.25))
    if family == "vq_diffusion":  # a mean of log-probabilities is one up to its sum
        mean = mean.log_softmax(-1)
    assert torch.allclose(blended, mean, atol=1e-4)


@every
def test_a_condition_hands_over_to_another(family: str) -> None:
    """Until then the image is that of the first alone; the branch that has nothing to say any more is not run."""
    given = mixture(family, [[1, 2], [3, 4]], [Region(start=0.5)])
    job = job_of(family, given, GUIDED)
    counts = [len(branches) for branches in job.mixing.computed]
    causal = job.run.causal and family != "vq_diffusion"
    assert max(counts) == (3 if causal else 2) and counts[-1] == 2
    assert all(a >= b for a, b in zip(counts, counts[1:], strict=False))
    if family in FAMILIES:
        first = run(family, pair(family, [1, 2]))
        changed = run(family, given)
        half = [k for k in range(job.run.count) if k / (job.run.count - 1) < 0.5]

        def law(seed: int) -> bool:
            return all(torch.equal(first[k], changed[k]) for k in half)

        assert holds(law)


@every
def test_regions_may_have_negatives_of_their_own(family: str) -> None:
    """Where they differ, they are mixed like the conditions; where the mask is everything, only the region's is left."""
    cond, uncond = mixture(family, [[1, 2], [3, 4]], [Region(LEFT)])
    own = replace(uncond, conditions=(uncond.conditions[0], cond.conditions[0]))
    job = job_of(family, (cond, own), GUIDED)
    assert sum(not branch.conditional for branch in job.mixing.branches) == 2
    assert not equal(run(family, (cond, own)), run(family, (cond, uncond)))
    whole = mixture(family, [[1, 2], [3, 4]], [Region(ALL)])
    own = replace(whole[1], conditions=own.conditions)
    alone = pair(family, [3, 4])[0], own.conditions[1]
    assert equal(run(family, (whole[0], own)), run(family, alone))


@pytest.mark.parametrize(
    "family", ["var", "switti_ar", "hart", "infinity", *sorted(TOKEN_FAMILIES)]
)
@pytest.mark.parametrize("own", [False, True], ids=["one negative", "two"])
def test_softcfg_weights_every_unconditional_branch(family: str, own: bool) -> None:
    """Two equal conditions that are not found equal are computed twice, and must give what one gives."""
    cond, uncond = mixture(family, [[1, 2], [3, 4]], [Region(LEFT, start=0.2, end=0.7)])
    if own:
        uncond = replace(uncond, conditions=(uncond.conditions[0], cond.conditions[0]))
    chain = (SoftCFG(3.0, "constant"),)
    made, plain = run(family, (cond, uncond), chain), run(family, (cond, uncond), GUIDED)
    off = run(family, (cond, uncond), (SoftCFG(3.0, "constant", strength=0.0),))
    assert not equal(made, plain) and equal(off, plain)


def test_softcfg_of_two_equal_negatives_is_softcfg(monkeypatch: pytest.MonkeyPatch) -> None:
    from ar_guidance.sampling import mixture as module

    monkeypatch.setattr(module, "same", lambda one, other: False)
    chain = (SoftCFG(3.0, "constant"),)

    def law(seed: int) -> bool:
        given = mixture("llamagen", [[3, 4], [3, 4]], [Region(LEFT)])
        assert len(job_of("llamagen", given, chain, seed).mixing.branches) == 4
        alone = run("llamagen", pair("llamagen", [3, 4]), chain, seed)
        return equal(run("llamagen", given, chain, seed), alone)

    assert holds(law)


@pytest.mark.parametrize("family", sorted(TOKEN_FAMILIES))
@pytest.mark.parametrize("guidances", [(), GUIDED, DROPPED], ids=["none", "cfg", "dropped"])
def test_windows_give_the_tokens_of_plain_decoding(
    family: str, guidances: Any, monkeypatch
) -> None:
    monkeypatch.setattr(Window, "_width", lambda self: min(5, self.widths[-1]))
    regions = [Region(LEFT, 0.8), Region(1 - LEFT, end=0.6), Region(weight=0.3, start=0.5)]
    given = mixture(family, [[0, 1], [1, 2], [3, 4], [2, 2]], regions)

    def law(seed: int) -> bool:
        plain = run(family, given, guidances, seed)
        wide = run(family, given, guidances, seed, widest=32)
        return equal(plain, wide)

    assert holds(law)


@pytest.mark.parametrize(
    "chain", [(IGG(2.0),), (SSG(1.0),), (SSG(1.0), CFG(2.0))], ids=["igg", "ssg", "both"]
)
def test_other_guidances_act_on_the_mixture(chain: Any) -> None:
    given = mixture("var", [[1, 2], [3, 4]], [Region(LEFT)])
    assert not equal(run("var", given, chain), run("var", given, ()))


def test_what_is_not_guided_has_no_unconditional_branch() -> None:
    job = job_of("var", mixture("var", [[1, 2], [3, 4]], [Region(LEFT)]), ())
    assert all(branch.conditional for branch in job.mixing.branches)
    conditions, mixing = resolve(pair("var", [1]), job.run, job.chain, None)
    assert mixing is None and len(conditions) == 2


def test_a_no_prompt_is_as_long_as_the_longest_of_the_prompts() -> None:
    cond, uncond = mixture("infinity", [[1], [2]], [Region(LEFT)])  # five and six tokens
    job = job_of("infinity", (cond, uncond), GUIDED, images=[0])
    nulls = [branch.condition for branch in job.mixing.branches if not branch.conditional]
    assert len(nulls) == 1 and nulls[0].live.sum() == 6


def test_the_plan_says_beforehand_what_a_run_costs() -> None:
    """Scales of 1, 4, 9 and 16 tokens; the first condition has no say after the second."""
    given = mixture("var", [[1, 2], [3, 4]], [Region(start=0.5)])
    job = job_of("var", given, DROPPED)
    told = job.mixing.told(job.run, job.chain.needs_uncond(job.run))
    assert told == (
        "2 conditions in one image: 3 branches in steps 1 to 2; 1 branch in steps 3 to 4. About 1.14 times the work of one"
        " condition"
    )
    assert branch_count(job) == 3
    assert branch_count(job_of("var", pair("var", [1, 2]), GUIDED)) == 2


@pytest.mark.parametrize("family", ["var", "switti", "llamagen"])
def test_recording_a_mixture_changes_nothing_and_shows_its_nudge(family: str) -> None:
    given = mixture(family, [[1, 2], [3, 4]], [Region(LEFT)])
    model, job = model_of(family), job_of(family, given, GUIDED)
    grid = None if family in FAMILIES else model.config.grid
    recorder = TraceRecorder(job.run.grids, grid)
    with torch.inference_mode():
        if family in FAMILIES:
            made = scalewise.generate(model.network, model.codec, job, CPU, recorder=recorder)
            tokens = made.tokens[-1]
        else:
            tokens = tokenwise.generate(model.network, job, CPU, recorder=recorder).tokens
    steps = loop(family, job_of(family, given, GUIDED))
    assert torch.equal(tokens, steps[-1].tokens)
    maps = recorder.finish().maps
    nudge = (steps[-1].cond - steps[-1].uncond).norm(dim=-1)
    last = maps["nudge"][-1].float()
    assert torch.allclose(last.flatten()[-nudge.shape[1] :], nudge[-1].flatten(), rtol=2e-3)


def test_an_edit_keeps_its_tokens_in_a_mixture() -> None:
    model = model_of("var")
    source = loop("var", job_of("var", pair("var", [0, 0]), GUIDED))
    given = [step.tokens for step in source]
    masks = [torch.rand(2, h, w) < 0.5 for h, w in model.config.grids]
    job = job_of("var", mixture("var", [[1, 2], [3, 4]], [Region(LEFT)]), GUIDED)
    made = loop("var", replace(job, kept=KeptTokens(given, masks)))
    for step, tokens, mask in zip(made, given, masks, strict=True):
        assert torch.equal(step.tokens[mask.flatten(1)], tokens[mask.flatten(1)])
    assert any(
        not torch.equal(step.tokens, tokens) for step, tokens in zip(made, given, strict=True)
    )
