"""The papers' rows as data: scales follow the table in the README, every chain can run, what does not fit is refused."""

import pytest
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.combining import Combining
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.loaders.families import DIFFUSION, TRANSFORMERS
from ar_guidance.sampling.paper_settings import BY_NAME, ROWS, WIDTHS, paper_setting

KINDS = {family.name: family.kind for family in TRANSFORMERS}
KINDS |= {family.name: "diffusion" for family in DIFFUSION}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_act_on_its_family(row) -> None:
    kind = KINDS[row.family]
    grids = ((1, 1),) * 10 if kind == "token" else tuple((k + 1, k + 1) for k in range(10))
    Chain(row.chain).check(RunInfo(kind, grids))
    assert row.source.startswith(("arXiv ", "AliTok"))
    assert row.reported["fid"] > 1


def test_names_are_told_apart() -> None:
    assert len(BY_NAME) == len(ROWS)


@pytest.mark.parametrize(
    ("name", "weight"),
    [("VAR-d30 CFG", 1.75), ("VAR-d30 IGG", 1.85), ("VAR-d36 CFG", 1.5), ("VAR-d36 IGG", 2.1)],
)
def test_a_ramp_ends_at_one_and_the_papers_weight(name, weight) -> None:
    """lambda_k = w k / (K - 1), gamma_k = 1 + lambda_k (section 3)."""
    run = RunInfo("scale", tuple((k + 1, k + 1) for k in range(10)))
    (guidance,) = BY_NAME[name].chain
    assert isinstance(guidance, Combining)
    made = [guidance.gamma(k, run) for k in range(10)]
    assert made == pytest.approx([1 + weight * k / 9 for k in range(10)])


def test_a_fixed_schedule_is_gamma_as_printed() -> None:
    run = RunInfo("scale", ((1, 1), (2, 2), (3, 3)))
    (guidance,) = BY_NAME["VAR-d30 IGG fixed"].chain
    assert [guidance.gamma(k, run) for k in range(3)] == [1.85] * 3
    (mix,) = BY_NAME["EDM2-S mix"].chain
    assert isinstance(mix, Mixed) and (mix.scale, mix.igg_scale) == (1.4, -0.4)


def test_what_does_not_fit_is_refused() -> None:
    assert paper_setting("VAR-d30 IGG", "var").release == "d30"
    with pytest.raises(ValueError, match=r"no preset 'VAR-d99'.*newer.*VAR-d30 CFG"):
        paper_setting("VAR-d99", "var")
    with pytest.raises(ValueError, match=r"is for models of the family var.*AliTok-B CFG"):
        paper_setting("VAR-d30 IGG", "alitok")
    with pytest.raises(ValueError, match=r"there is none\..*empty 'preset'"):
        paper_setting("VAR-d30 IGG", "hart")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_another_size_of_the_right_family_is_told_of(row) -> None:
    width = WIDTHS[row.family, row.release]
    assert row.note(width) == ""
    told = row.note(1024 + 1)
    assert row.name in told and row.release in told and "does not hold" in told
