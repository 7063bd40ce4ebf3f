"""Completion: what is kept stays, what SSG changes is compared on the same random numbers, masks with nothing to do are refused."""

from pathlib import Path

import pytest
import torch
from ar_guidance.benchmarks.completion import (
    Completion,
    alexnet,
    by_classifier,
    by_lpips,
    check_mask,
    half_kept,
    table,
    told,
)
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.sampling.edit import KeptTokens, keep_outside
from ar_guidance.tools.evaluate.library import make_torchvision_importable


def test_masks_with_nothing_to_do_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing is left to complete"):
        check_mask(torch.ones(8, 8))
    with pytest.raises(ValueError, match="nothing to complete it from"):
        check_mask(torch.zeros(8, 8))
    check_mask(half_kept((8, 8)))


def test_the_kept_half_stays_and_the_other_is_drawn_again() -> None:
    completion, mask = Completion(2), half_kept((8, 8))
    tokens, _ = completion.draw(0, 0, (CFG(4.0),))
    masks = keep_outside(mask, completion.grids)
    again, seen = completion.draw(0, 1, (CFG(4.0),), KeptTokens(tokens, masks))
    kept = masks[-1].reshape(1, -1).expand(2, -1)
    assert torch.equal(again[-1][kept], tokens[-1][kept])
    assert not torch.equal(again[-1][~kept], tokens[-1][~kept])
    assert len(seen) == len(completion.grids)


def test_distances_are_of_every_image_and_scale() -> None:
    completion, measure = Completion(2), by_classifier()
    chains = {"CFG": (CFG(4.0),), "same": (CFG(4.0), SSG(0.0)), "SSG": (CFG(4.0), SSG(1.2))}
    found = completion.distances(half_kept((8, 8)), chains, measure)
    assert found["CFG"].shape == (2, len(completion.grids))
    assert torch.allclose(found["same"], found["CFG"], atol=1e-4)
    assert not torch.allclose(found["SSG"], found["CFG"], atol=1e-2)
    rows = told({name: found[name] for name in ("CFG", "SSG")})
    assert rows["SSG − CFG"][3].mean == pytest.approx(
        (found["SSG"] - found["CFG"])[:, 3].mean().item(), abs=1e-5
    )


def test_the_table_says_what_was_stored() -> None:
    rows = {"CFG": [[1.0, 0.1], [0.5, 0.1], [0.4, 0.1]], "SSG": [[1.0, 0.1]] * 3}
    rows["SSG − CFG"] = [[0.0, 0.0], [-0.0321, 0.015], [0.0171, 0.0166]]
    content = {"images": 96, "scales": ["1×1", "2×2", "3×3"], "classifier": rows}
    assert (
        table(content, "classifier")
        == [
            "| | 1×1 | 2×2 | 3×3 |",
            "|---|---|---|---|",
            "| CFG | 1.000 | 0.500 | 0.400 |",
            "| SSG − CFG | 0 | **−0.032 ± 0.015** | +0.017 ± 0.017 |",  # the last is none of three that stand
        ]
    )


def test_lpips_is_the_librarys_with_alexnet_from_the_file(tmp_path: Path) -> None:
    make_torchvision_importable()
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    trunk = network.net.state_dict()
    names = {key: f"features.{key.partition('.')[2]}" for key in trunk}
    torch.save({names[key]: value for key, value in trunk.items()}, tmp_path / "alexnet.pth")
    measure = by_lpips(tmp_path / "alexnet.pth")
    first, second = torch.rand(2, 3, 3, 64, 64) * 2 - 1
    large = [torch.nn.functional.interpolate(x, size=(256, 256)) for x in (first, second)]
    with torch.inference_mode():
        wanted = network(*large).flatten()
    assert wanted.shape == (3,) and (wanted > 0).all()
    assert torch.allclose(measure(first, second), wanted)
    assert torch.equal(measure(first, first), torch.zeros(3))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(SystemExit, match="not torchvision's weights of AlexNet"):
        by_lpips(tmp_path / "other.pth")


def test_lpips_wants_a_file_of_alexnet(tmp_path: Path) -> None:
    (tmp_path / "words.pth").write_text("no weights")
    with pytest.raises(SystemExit, match="not torchvision's weights of AlexNet"):
        alexnet(tmp_path / "words.pth", {"slice1.0.weight": torch.zeros(1)})
    stored = {"features.0.weight": torch.ones(2)}
    torch.save(stored, tmp_path / "alexnet.pth")
    found = alexnet(tmp_path / "alexnet.pth", {"slice1.0.weight": torch.zeros(2)})
    assert torch.equal(found["slice1.0.weight"], stored["features.0.weight"])
