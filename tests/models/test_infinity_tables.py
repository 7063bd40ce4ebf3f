"""Infinity's scale lists and rotary positions, all of them, against those of the reference (`infinity_tables.json`)."""

import json
from pathlib import Path

import pytest
import torch
from ar_guidance.models.infinity.blocks import grid_positions
from ar_guidance.models.infinity.grids import BUDGETS, TEMPLATES, template_for

TABLES = json.loads(Path(__file__).with_name("infinity_tables.json").read_text(encoding="utf-8"))


def test_every_ratio_and_budget_is_there() -> None:
    assert [template.ratio for template in TEMPLATES] == [float(r) for r in TABLES["templates"]]
    assert TABLES["scales"] == BUDGETS


@pytest.mark.parametrize("ratio", TABLES["templates"])
def test_grids_and_positions_are_the_reference_s(ratio: str) -> None:
    table, template = TABLES["templates"][ratio], template_for(float(ratio))
    assert [list(grid) for grid in template.grids] == table["grids"]
    for grid, rows, columns in zip(template.grids, table["rows"], table["columns"], strict=True):
        found = grid_positions(grid, template.grids[-1], torch.device("cpu"))
        ours = torch.stack([place.view(grid) for place in found])
        assert ours[0].tolist() == [[row] * grid[1] for row in rows]
        assert ours[1].tolist() == [columns] * grid[0]
