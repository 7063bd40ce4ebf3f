"""Laws of guidance inside the network, through the loop of the one family that can mix branches there."""

from dataclasses import replace

import pytest
import torch
from ar_guidance.guidance.base import Guidance
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.hidden_cfg import HiddenCFG
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.ssg import SSG
from ar_guidance.tests.tiny import FAMILIES, tiny_infinity
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES

HIDDEN = HiddenCFG(3.0, depth=1)


def logits(guidances: tuple[Guidance, ...], labels: list[int] = [1, 2], first: int = 0, **options):  # noqa: B006
    """Guided logits of every step."""
    seen = []
    tiny_infinity().sample(
        labels, guidances, first=first, on_step=lambda p: seen.append(p.guided), **options
    )
    return seen


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_does_something_and_is_not_cfg_at_the_end() -> None:
    assert not torch.allclose(logits((HIDDEN,))[0], logits(())[0], atol=1e-3)
    assert not torch.allclose(logits((HIDDEN,))[0], logits((CFG(3.0),))[0], atol=1e-3)


def test_scale_one_is_bit_equal_to_absent() -> None:
    assert equal(logits((replace(HIDDEN, scale=1.0),)), logits(()))
    off = HiddenCFG(3.0, 1, "list", (1.0,) * 4)
    assert equal(logits((off,)), logits(()))
    assert equal(logits((off, CFG(2.0))), logits((CFG(2.0),)))


def test_a_list_with_ones_runs_the_branch_up_to_its_last_use_only() -> None:
    run = tiny_infinity().run
    guidance = HiddenCFG(3.0, 1, "list", (1.0, 2.0, 1.0, 1.0))
    assert Chain((guidance,)).needs_uncond(run) == (True, True, False, False)
    assert torch.allclose(logits((guidance,))[0], logits(())[0], atol=1e-5)


def test_requeue_recorder_and_other_links() -> None:
    plain = logits((HIDDEN, SSG(0.3), CFG(2.0)))
    assert equal(plain, logits((replace(HIDDEN), SSG(0.3), CFG(2.0))))
    recorder = TraceRecorder(tiny_infinity().run.grids)
    assert equal(plain, logits((HIDDEN, SSG(0.3), CFG(2.0)), recorder=recorder))
    assert set(recorder.finish().maps) >= {"nudge", "added"}


def test_images_of_a_batch_do_not_mix() -> None:
    together, second = logits((HIDDEN,)), logits((HIDDEN,), [2], first=1)
    for both, alone in zip(together, second, strict=True):
        assert torch.allclose(both[1:], alone, atol=1e-4)


@pytest.mark.parametrize("name", [*FAMILIES, *TOKEN_FAMILIES])
def test_networks_without_a_place_for_it_refuse(name) -> None:
    model = (FAMILIES | TOKEN_FAMILIES)[name]()
    if name == "infinity":
        with pytest.raises(ValueError, match="depth 2 must be less than the model's 2 blocks"):
            model.sample([1], (HiddenCFG(depth=2),))
        return
    with pytest.raises(ValueError, match="cannot mix branches inside; use AR Guidance: CFG"):
        model.sample([1], (HIDDEN,))


def test_bad_settings_are_refused_when_the_link_is_made() -> None:
    with pytest.raises(ValueError, match="one number per step"):
        HiddenCFG(schedule="list")
