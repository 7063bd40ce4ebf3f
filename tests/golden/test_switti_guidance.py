"""Golden cases of Switti under starts and ends of guidance that the cases themselves do not have."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ar_guidance.sampling.scalewise import generate
from ar_guidance.tests.golden.loading import load

HERE = Path(__file__).parent


golden = load("golden_test", HERE / "test_golden.py")


@pytest.mark.parametrize("name", ["noncausal", "ar"])
@pytest.mark.parametrize(
    ("on", "off"), [(0, 10), (2, 10), (1, 3), (0, 2), (2, 3), (0, 1), (0, 0), (3, 3), (3, 1)]
)
def test_the_branch_is_left_out_where_no_scale_needs_it(name: str, on: int, off: int) -> None:
    case = golden.Case(HERE / "cases" / "switti" / name)
    case.facts["guidance"] |= {"turn_on_cfg_start_si": on, "turn_off_cfg_start_si": off}
    switti = load("golden_switti", HERE / "families" / "switti.py")
    setup = switti.setup(case)
    network = switti.build(setup.model)
    both = replace(setup.job, run=replace(setup.job.run, causal=True))
    with torch.inference_mode():
        whole = generate(network, setup.codec, both, switti.CPU)
        switti.check_plan(case, network, setup.codec, setup.job, whole)
