"""The transformer's second course begins where the released weights end."""

from pathlib import Path

import torch
from ar_guidance.tools.bundled.onward import OnwardTraining, starting_weights
from ar_guidance.tools.bundled.transformer import export
from ar_guidance.tools.pack import ROOT


def test_it_begins_with_the_released_weights(tmp_path: Path) -> None:
    start = starting_weights(tmp_path, ROOT / "bundled")
    run = OnwardTraining.__new__(OnwardTraining)
    run.start = start
    begun = export(run.fresh().state_dict())
    assert begun.keys() == start.keys()
    assert all(torch.allclose(begun[name], start[name], atol=1e-6) for name in start)
