"""Plans: what they mean, and what is refused in words."""

from pathlib import Path

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.evaluate.plans import small
from ar_guidance.tools.evaluate.chains import chain_of
from ar_guidance.tools.evaluate.command import PLANS, ready
from ar_guidance.tools.evaluate.conditions import REFERENCE, TrainingClasses
from ar_guidance.tools.evaluate.plan import differences
from ar_guidance.tools.evaluate.plan_file import make_plan, read_plan
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.shards import shards_of
from ar_guidance.tools.pack import ROOT
from safetensors.torch import load_file


def test_a_row_of_strengths_is_a_setting_each() -> None:
    row = {
        "label": "both",
        "strengths": [0.5, 2],
        "chain": [{"cfg": {"scale": 3}}, {"ssg": {"beta": "$x"}}],
    }
    plan = make_plan(small(rows=[row]))
    assert [s.name for s in plan.settings] == ["both 0.5", "both 2"]
    assert chain_of(plan.settings[1].chain) == (CFG(3.0), SSG(2.0))
    assert [s.slug for s in plan.settings] == ["scale-both-0.5", "scale-both-2"]


def test_samplers_may_be_swept_and_rows_add_to_the_plan() -> None:
    row = {"label": "warm", "strengths": [0.5, 1.5], "sampler": {"temperature": "$x"}}
    plan = make_plan(small(rows=[row]))
    assert [s.sampler["temperature"] for s in plan.settings] == [0.5, 1.5]
    assert all(s.sampler["top_p"] == 0.95 for s in plan.settings)


def test_a_sample_is_a_function_of_its_number_alone() -> None:
    plan = make_plan(small(seeds=[7, 3], each=4))
    assert [plan.address(n) for n in range(plan.samples)] == [
        (s, i) for s in (7, 3) for i in range(4)
    ]


@pytest.mark.parametrize("each,shard", [(4, 2), (5, 3), (7, 100)])
def test_shards_cover_every_sample_of_every_setting_once(each: int, shard: int) -> None:
    plan = make_plan(small(each=each, shard=shard))
    covered = [(s.setting, n) for s in shards_of(plan) for n in range(s.start, s.end)]
    assert sorted(covered) == [(k, n) for k in range(2) for n in range(plan.samples)]


def test_models_come_one_after_the_other_and_settings_of_a_model_in_turn() -> None:
    rows = [{"label": str(n), "model": model} for n, model in enumerate(["a", "b", "a"])]
    plan = make_plan(small(models={"b": {}, "a": {}}, rows=rows, shard=4))
    assert [(s.setting, s.start) for s in shards_of(plan)] == [
        *((1, 0), (1, 4)),
        *((0, 0), (2, 0), (0, 4), (2, 4)),
    ]


def test_training_classes_have_the_drawings_proportions_over_any_stretch() -> None:
    drawings = load_file(REFERENCE)["groups"].double()
    asked = TrainingClasses(400)
    groups = torch.tensor([asked.group(0, image) for image in range(400)])
    share = drawings / drawings.sum()
    for part in (groups, groups[:100], groups[250:350]):
        found = torch.bincount(part, minlength=len(share)) / len(part)
        assert (found - share).abs().max() < 0.03


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"modles": {}}, "unknown entry 'modles'"),
        ({"models": {}}, "names no model"),
        ({"rows": []}, "'rows' must be a list"),
        ({"rows": [{"chain": []}]}, "no 'label'"),
        ({"rows": [{"label": "a"}, {"label": "a"}]}, "two rows are both called 'a'"),
        ({"rows": [{"label": "a", "model": "big"}]}, "unknown model 'big'; there are: scale"),
        ({"rows": [{"label": "a", "strengths": 3}]}, "must be a list"),
        ({"rows": [{"label": "a", "strengths": ["x"]}]}, "must be a number"),
        ({"rows": [{"label": "a", "chain": [3]}]}, "a guidance is written as"),
        ({"rows": [{"label": "a", "sampler": {"topk": 1}}]}, "unknown entry 'topk'"),
        ({"seeds": [1, 1]}, "'seeds' must be"),
        ({"each": 0}, "'each' must be a whole number"),
        ({"keep": "jpeg"}, "'keep' must be one of"),
        ({"latency": {"times": 3}}, "unknown entry 'times'"),
    ],
)
def test_a_wrong_plan_is_refused_in_words(changes: dict, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        make_plan(small(**changes))


@pytest.mark.parametrize(
    "chain,said",
    [
        (("cgf", {}), "unknown guidance 'cgf'; there are: cfg"),
        (("cfg", {"scael": 2}), "cfg has no option 'scael'"),
        (("cfg", {"schedule": "wavy"}), "cfg: .*wavy"),
    ],
)
def test_a_wrong_guidance_is_refused_in_words(chain: tuple, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        chain_of([chain])


def test_what_is_not_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "text.yaml").write_text("just words")
    with pytest.raises(EvaluationError, match=r"text\.yaml: a plan is a list of names"):
        read_plan(tmp_path / "text.yaml")
    (tmp_path / "code.yaml").write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(EvaluationError, match="this is not YAML"):
        read_plan(tmp_path / "code.yaml")


def test_differences_name_the_place() -> None:
    before, after = make_plan(small()).identity(), make_plan(small(batch=4, seeds=3)).identity()
    assert differences(before, after) == [
        "seeds: was [0, 1], is now [0, 1, 2]",
        "batch: was 2, is now 4",
    ]


@pytest.mark.parametrize("name", ready())
def test_ready_plans_are_plans(name: str) -> None:
    plan = read_plan(PLANS / f"{name}.yaml")
    assert all(chain_of(setting.chain) is not None for setting in plan.settings)


FIDS = {  # of the papers' rows that this pack can run: (paper, table) -> FID
    ("igg", 2): (1.93, 1.92, 2.61, 2.56),
    ("igg", 3): (32.95, 32.27, 9.5, 7.09, 26.9, 5.8, 10.95, 10.93, 17.6, 16.9, 44.8, 20.9),
    ("igg", 4): (1.92, 5.48, 4.29, 1.92),
    ("igg", 5): (2.29, 2.20, 1.84, 1.82),
    ("ssg", 1): (3.42, 3.27, 2.67, 2.49, 2.39, 2.20, 2.02, 1.68),
    ("ssg", 2): (2.18, 2.02, 1.68),
    ("ssg", 3): (2.70, 2.39),
    ("ssg", 4): (8.46, 7.28, 10.01, 9.68),
    ("ssg", 5): (3.42, 4.02, 3.79, 3.34, 3.63, 3.27),
    ("ssg", 7): (9.39, 9.18),
    ("softcfg", 1): (1.92, 3.07, 2.18, 1.50, 1.42, 1.35, 1.40, 1.39, 1.27),
    ("softcfg", 2): (1.76, 1.35, 1.32, 1.32, 1.27),
    ("softcfg", 3): (1.31, 1.39, 1.27),
}


def test_every_row_a_paper_has_of_these_models_has_a_plan() -> None:
    found: dict[str, set[float]] = {"igg": set(), "ssg": set(), "softcfg": set(), "quoted": set()}
    for name in ready():
        paper = name.partition("-")[0]
        if paper in found:
            plan = read_plan(PLANS / f"{name}.yaml")
            found[paper] |= {row.paper["fid"] for row in plan.settings if "fid" in row.paper}
    for (paper, table), fids in FIDS.items():
        missing = set(fids) - found[paper] - found["quoted"]
        assert not missing, f"{paper}, Table {table}: no plan has the rows of FID {missing}"


def test_every_ready_plan_is_in_the_documents() -> None:
    words = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [name for name in ready() if f"`{name}`" not in words] == []
