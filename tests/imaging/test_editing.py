"""How an edit is said to the token-wise loop: the share kept is one of what may change."""

from types import SimpleNamespace

import pytest
import torch
from ar_guidance.imaging.editing import Edit, kept_by
from ar_guidance.imaging.tokens import ImageTokens
from ar_guidance.sampling.edit import KeptSequence
from hypothesis import given
from hypothesis import strategies as st

GRID, PLACELESS = (6, 4), 5


def kept(share: float, mask: torch.Tensor | None, placeless: int = 0) -> torch.Tensor:
    """Which tokens of one image are kept, (T,)."""
    count = GRID[0] * GRID[1] + placeless
    family = SimpleNamespace(kind="token", title="LlamaGen", frames=lambda config: (GRID,))
    config = SimpleNamespace(grid=GRID, length=count)
    codec = SimpleNamespace(config=SimpleNamespace(vocab=9, factor=8))
    model = SimpleNamespace(name="x", family=family, config=config, tokenizer=codec, codec="abc")
    steps = (torch.arange(count)[None] % 9,)
    source = ImageTokens("token", (GRID,), steps, "abc", "LlamaGen")
    sampling = SimpleNamespace(model=model, edit=Edit(source, share, mask), whole=1, images=(0,))
    found = kept_by(sampling, SimpleNamespace(kind="token"), ((1, 0),))  # type: ignore[arg-type]
    assert isinstance(found, KeptSequence)
    return found.mask[0]


@pytest.mark.parametrize("place", ["top", "bottom", "left"])
@pytest.mark.parametrize("placeless", [0, PLACELESS])
def test_half_of_a_mask_is_half_wherever_it_lies(place, placeless) -> None:
    mask = torch.zeros(1, 48, 32)
    area = {"top": mask[:, :16], "bottom": mask[:, 32:], "left": mask[:, :, :16]}[place]
    area.fill_(1)
    inside = torch.zeros(GRID, dtype=torch.bool)
    {"top": inside[:2], "bottom": inside[4:], "left": inside[:, :2]}[place].fill_(True)
    keep = kept(0.5, mask, placeless)
    assert keep[:placeless].all()
    cells = keep[placeless:].view(GRID)
    assert cells[~inside].all()
    new = ~cells[inside]  # in reading order: the first half stays
    assert int(new.sum()) == len(new) // 2 and new[len(new) // 2 :].all()
    assert kept(1.0, mask, placeless).all()
    assert not kept(0.0, mask, placeless)[placeless:].view(GRID)[inside].any()


@given(share=st.floats(0, 1), placeless=st.integers(0, 3))
def test_without_a_mask_it_is_the_beginning_of_the_line(share, placeless) -> None:
    keep = kept(share, None, placeless)
    count = int(keep.sum())
    assert abs(count - share * len(keep)) <= 0.5 and keep[:count].all()
