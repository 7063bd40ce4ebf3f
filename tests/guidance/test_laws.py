"""Laws that every registered guidance must keep, on logits. Through the loops: `test_run_laws.py`."""

import math
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from ar_guidance.guidance.base import Guidance, Parameter, RunInfo, settings
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.chains import VARIANTS
from hypothesis import given
from hypothesis import strategies as st

GRIDS = ((1, 1), (2, 2), (3, 2), (4, 5))
RUN = RunInfo("scale", GRIDS, published=Schedule("linear ramp"))

ABSENT: dict[str, Guidance] = {name: method(**method.neutral) for name, method in METHODS.items()}
COMBINING = [variant for variant in VARIANTS if variant.combines]


def names(guidance: Guidance) -> str:
    return repr(guidance)[:60]


def branches(seed: int, batch: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(batch, h * w, 7, generator=generator),
            torch.randn(batch, h * w, 7, generator=generator),
        )
        for h, w in GRIDS
    ]


def apply(guidances: tuple[Guidance, ...], steps, recorder=None) -> list[torch.Tensor]:
    """Guided logits of every step; the unconditional branch is given only where the chain asks for it."""
    chain = Chain(guidances)
    going = chain.begin(RUN, recorder) if recorder else chain.begin(RUN)
    wanted = chain.needs_uncond(RUN)
    return [going.apply(k, c, u if wanted[k] else None) for k, (c, u) in enumerate(steps)]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: list[torch.Tensor], b: list[torch.Tensor], tolerance: float = 1e-4) -> bool:
    return all(torch.allclose(x, y, atol=tolerance) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_switched_off_is_bit_identical_to_absent_and_costs_no_branch(name) -> None:
    steps = branches(1)
    assert not any(Chain((ABSENT[name],)).needs_uncond(RUN))
    if METHODS[name].inside:
        return
    assert equal(apply((ABSENT[name],), steps), [c for c, _ in steps])


@pytest.mark.parametrize("beside", [v for v in COMBINING if v.on_cond], ids=names)
@pytest.mark.parametrize("name", METHODS)
def test_switched_off_beside_a_cfg_like_one_changes_nothing(name, beside) -> None:
    if ABSENT[name].inside or (ABSENT[name].needs_weights and beside.needs_weights):
        return  # tested through a network; two that weigh are refused, whatever their settings
    steps, alone = branches(1), apply((beside,), branches(1))
    assert equal(apply((beside, ABSENT[name]), steps), alone)
    assert equal(apply((ABSENT[name], beside), steps), alone)


@pytest.mark.parametrize("first", COMBINING, ids=names)
@pytest.mark.parametrize("second", COMBINING, ids=names)
def test_terms_of_a_pair_add_up_on_one_base(first, second) -> None:
    """guided - base is the sum of what each adds alone; the base is c where no other acts, or one that is CFG-like."""
    if first.needs_weights and second.needs_weights:
        return
    steps = branches(11)
    alone = [(one, apply((one,), steps)) for one in (first, second)]
    for k, made in enumerate(apply((first, second), steps)):
        cond, uncond = steps[k]
        acting = [(one, guided[k]) for one, guided in alone if one.active(k, RUN)]
        on_cond = not acting or any(one.on_cond for one, _ in acting)
        terms = sum(guided - (cond if one.on_cond else uncond) for one, guided in acting)
        assert torch.allclose(made, (cond if on_cond else uncond) + terms, atol=1e-3)


@pytest.mark.parametrize("guidance", VARIANTS, ids=names)
def test_it_does_something(guidance) -> None:
    """At the last step at which it acts: many are at rest at the first."""
    steps = branches(2)
    last = max(k for k in range(len(steps)) if guidance.active(k, RUN))
    assert not torch.allclose(apply((guidance,), steps)[last], steps[last][0], atol=1e-3)


@pytest.mark.parametrize("guidance", VARIANTS, ids=names)
def test_inputs_are_read_only_and_runs_do_not_leak(guidance) -> None:
    steps = branches(3)
    copies = [(c.clone(), u.clone()) for c, u in steps]
    first = apply((guidance, CFG(2.0)), steps)
    assert all(
        torch.equal(a, b)
        for s, t in zip(steps, copies, strict=True)
        for a, b in zip(s, t, strict=True)
    )
    assert equal(first, apply((guidance, CFG(2.0)), steps))


@pytest.mark.parametrize("guidance", VARIANTS, ids=names)
def test_recording_changes_nothing(guidance) -> None:
    steps, recorder = branches(4), TraceRecorder(GRIDS)
    assert equal(apply((guidance,), steps), apply((guidance,), steps, recorder))
    trace = recorder.finish()
    for rows in trace.maps.values():
        for row, grid in zip(rows, GRIDS, strict=True):
            assert row is None or tuple(row.shape) == (2, *grid)


@pytest.mark.parametrize("guidance", VARIANTS, ids=names)
def test_images_of_a_batch_do_not_mix(guidance) -> None:
    steps = branches(5, batch=3)
    together = apply((guidance, CFG(2.0)), steps)
    for i in range(3):
        alone = apply((guidance, CFG(2.0)), [(c[i : i + 1], u[i : i + 1]) for c, u in steps])
        assert close([t[i : i + 1] for t in together], alone, 1e-5)


# Without centring, IGG's attention sees a constant added to all logits of a token: it does not claim this law.
SHIFT_INVARIANT = [guidance for guidance in VARIANTS if guidance.shift_invariant]


@pytest.mark.parametrize("guidance", SHIFT_INVARIANT, ids=names)
def test_a_constant_added_to_all_logits_of_a_token_changes_no_probability(guidance) -> None:
    steps = branches(6)
    offsets = [
        torch.randn(2, c.shape[1], 1, generator=torch.Generator().manual_seed(9)) for c, _ in steps
    ]
    moved = [(c + o, u + o) for (c, u), o in zip(steps, offsets, strict=True)]
    for plain, shifted in zip(apply((guidance,), steps), apply((guidance,), moved), strict=True):
        assert torch.allclose(plain.softmax(-1), shifted.softmax(-1), atol=1e-5)


@pytest.mark.parametrize("guidance", [v for v in VARIANTS if v.combines], ids=names)
def test_equal_branches_leave_nothing_to_combine(guidance) -> None:
    steps = [(c, c) for c, _ in branches(7)]
    assert close(apply((guidance,), steps), [c for c, _ in steps], 1e-5)


@given(st.permutations([CFG(2.0), IGG(1.5, "constant"), Mixed(0.5)]))
def test_combining_guidances_commute(guidances) -> None:
    steps = branches(8)
    reference = apply((CFG(2.0), IGG(1.5, "constant"), Mixed(0.5)), steps)
    assert close(apply(tuple(guidances), steps), reference)


def test_order_matters_where_the_term_depends_on_the_running_value() -> None:
    steps, cfg, ssg = branches(9), CFG(3.0, "constant"), SSG(0.8)
    assert not close(apply((cfg, IGG(2.0), ssg), steps), apply((ssg, cfg, IGG(2.0)), steps), 1e-2)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.integers(0, 99))
def test_window_is_the_masked_matrix(height, width, radius, seed) -> None:
    from ar_guidance.guidance.igg import attend, attend_window

    nudge = torch.randn(2, height * width, 5, generator=torch.Generator().manual_seed(seed))
    y, x = torch.arange(height * width) // width, torch.arange(height * width) % width
    hidden = ((y[:, None] - y).abs() > radius) | ((x[:, None] - x).abs() > radius)
    scores = (nudge @ nudge.transpose(1, 2) / 5**0.5).masked_fill(hidden, -torch.inf)
    weights = scores.softmax(-1)
    mixed, received = attend_window(nudge, (height, width), radius)
    assert torch.allclose(mixed, weights @ nudge, atol=1e-5)
    assert torch.allclose(received, weights.sum(1), atol=1e-5)
    everything = attend_window(nudge, (height, width), 99)
    assert torch.equal(everything[0], attend(nudge)[0])


@given(st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_what_a_tile_must_not_see(side, radius, kept) -> None:
    """Whether the numbers are kept or made for this call, and never those of another type."""
    from ar_guidance.guidance import igg

    tile, near = ((2, 2 + side), (1, 1 + side)), ((0, 3 + side), (0, 2 + side))
    double = torch.ones((), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(igg, "KEPT", 1 << 16 if kept else 0)
        before = igg._hidden.cache_info().currsize
        made = igg.hidden(tile, near, radius, double)
        assert kept or igg._hidden.cache_info().currsize == before
        assert (igg.hidden(tile, near, radius, double) is made) == kept
        assert igg.hidden(tile, near, radius, double.float()).dtype == torch.float32
    queries = [(y, x) for y in range(*tile[0]) for x in range(*tile[1])]
    keys = [(y, x) for y in range(*near[0]) for x in range(*near[1])]
    seen = [[max(abs(y - v), abs(x - u)) <= radius for v, u in keys] for y, x in queries]
    assert torch.equal(made == 0, torch.tensor(seen)) and (made[~torch.tensor(seen)] < -1e300).all()


def test_tiles_and_chunks_give_the_same(monkeypatch) -> None:
    from ar_guidance.guidance import igg

    nudge = torch.randn(2, 12 * 10, 6, generator=torch.Generator().manual_seed(0))
    whole = igg.attend(nudge), igg.attend_window(nudge, (12, 10), 2)
    monkeypatch.setattr(igg, "SCORES", 64)
    pieces = igg.attend(nudge), igg.attend_window(nudge, (12, 10), 2)
    for a, b in zip(whole, pieces, strict=True):
        assert torch.allclose(a[0], b[0], atol=1e-5) and torch.allclose(a[1], b[1], atol=1e-5)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from(["DSE", "DSE zero", "linear", "nearest"]),
    st.sampled_from(["bilinear", "bicubic"]),
    st.sampled_from(["verbatim", "preserve amplitude"]),
)
def test_one_product_enlarges_as_the_axes_one_after_the_other_do(
    small, grid, prior, interpolation, amplitude
) -> None:
    from ar_guidance.guidance import ssg

    x = torch.randn(2, *small, 3, generator=torch.Generator().manual_seed(0))
    expected = ssg.enlarged(x.double(), grid, prior, interpolation, amplitude)
    for signal, tolerance in ((x, 1e-5), (x.double(), 1e-12)):
        made = ssg.upsample(signal, grid, prior, interpolation, amplitude)
        assert made.dtype == signal.dtype and made.shape == expected.shape
        assert torch.allclose(made.double(), expected, atol=tolerance)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))
def test_priors_keep_a_constant(h, w, height, width) -> None:
    from ar_guidance.guidance import ssg

    if height < h or width < w:
        return
    flat = torch.full((1, h, w, 3), 2.5)
    for prior in ("DSE", "DSE zero"):
        made = ssg.upsample(flat, (height, width), prior, "bilinear", ssg.PRESERVE)
        assert torch.allclose(made, torch.full_like(made, 2.5), atol=1e-5)
        verbatim = ssg.upsample(flat, (height, width), prior, "bilinear", ssg.VERBATIM)
        assert torch.allclose(verbatim, made * (h * w / (height * width)) ** 0.5, atol=1e-5)
    for prior in ("linear", "nearest"):
        made = ssg.upsample(flat, (height, width), prior, "bilinear", ssg.VERBATIM)
        assert torch.allclose(made, torch.full_like(made, 2.5), atol=1e-5)


def test_separable_dse_is_the_published_algorithm() -> None:
    """Interpolate, transform, overwrite the low block, transform back: with scipy's DCT."""
    import torch.nn.functional as F
    from ar_guidance.guidance import ssg
    from scipy.fft import dctn, idctn

    x = torch.randn(1, 3, 4, 2, generator=torch.Generator().manual_seed(1))
    large = F.interpolate(x.movedim(-1, 1), size=(5, 7), mode="bilinear").double().numpy()
    spectrum = dctn(large, axes=(2, 3), norm="ortho")
    spectrum[:, :, :3, :4] = dctn(x.movedim(-1, 1).double().numpy(), axes=(2, 3), norm="ortho")
    expected = torch.from_numpy(idctn(spectrum, axes=(2, 3), norm="ortho")).movedim(1, -1).float()
    made = ssg.upsample(x, (5, 7), "DSE", "bilinear", ssg.VERBATIM)
    assert torch.allclose(made, expected, atol=1e-5)


# --- refusals and settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [IGG(), Mixed(), SSG()], ids=names)
def test_scale_wise_methods_refuse_single_tokens(guidance) -> None:
    tokens = RunInfo("token", ((1, 1),) * 5)
    with pytest.raises(ValueError, match="CFG or SoftCFG"):
        Chain((guidance,)).begin(tokens)


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_frozen_described_and_ranged(name) -> None:
    guidance = METHODS[name]()
    assert guidance == METHODS[name]() and hash(guidance) == hash(METHODS[name]())
    with pytest.raises(FrozenInstanceError):
        setattr(guidance, fields(guidance)[0].name, 1)  # type: ignore[arg-type]
    shown_settings = settings(METHODS[name])
    lists = any("list" in field.metadata["parameter"].options for field in shown_settings)
    assert ("values" in {field.name for field in shown_settings}) == lists
    for field in shown_settings:
        shown = field.metadata["parameter"]
        assert isinstance(shown, Parameter) and len(shown.tooltip) > 20
        if isinstance(field.default, float):
            assert shown.minimum <= field.default <= shown.maximum
        if shown.options:
            assert field.default in shown.options
    assert (
        guidance.summary.endswith(".") and guidance.formula and guidance.paper.startswith("arXiv")
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: SSG(-1.0),
        lambda: SSG(prior="cubic"),
        lambda: IGG(window="round"),
        lambda: IGG(attention="none"),
        lambda: Mixed(schedule="list", values=(1.0,)),
        lambda: CFG(schedule="sideways"),
        lambda: CFG(math.nan),
        lambda: Mixed(igg_scale=math.inf),
        lambda: SSG(math.inf),
        lambda: SoftCFG(strength=math.inf),
        lambda: HiddenCFG(depth=0),
        lambda: HiddenCFG(math.nan),
    ],
)
def test_bad_settings(make) -> None:
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize("guidance", VARIANTS, ids=names)
def test_what_is_kept_of_a_run_in_inference_mode_serves_one_that_is_differentiated(
    guidance,
) -> None:
    with torch.inference_mode():
        apply((guidance,), branches(3))
    steps = [(c.requires_grad_(), u.requires_grad_()) for c, u in branches(3)]
    guided = apply((guidance,), steps)
    sum(step.square().sum() for step in guided).backward()  # type: ignore[union-attr]
    assert all(cond.grad is not None and cond.grad.isfinite().all() for cond, _ in steps)
