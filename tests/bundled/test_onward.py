"""The transformer's second course begins at the weights it is given."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from ar_guidance.tools.bundled.onward import OnwardTraining, starting_weights, training_layout
from ar_guidance.tools.bundled.transformer import export
from ar_guidance.tools.pack import ROOT
from safetensors.torch import load_file


def test_it_begins_with_weights_of_the_released_layout(tmp_path: Path) -> None:
    start = starting_weights(tmp_path, ROOT / "bundled")
    run = OnwardTraining.__new__(OnwardTraining)
    run.start = start
    begun = export(run.fresh().state_dict())
    assert begun.keys() == start.keys()
    assert all(torch.allclose(begun[name], start[name], atol=1e-6) for name in start)


def test_a_release_of_it_leaves_the_other_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # or the import below would set it for good
    from ar_guidance.tools.train_bundled import release

    start, work, target = starting_weights(tmp_path, ROOT / "bundled"), tmp_path / "work", tmp_path
    work.mkdir()
    trained = {"average": {"weights": training_layout(start)}}
    torch.save(trained, work / "transformer_onward.pt")
    release(Namespace(work=work, weights=target, classifier=tmp_path / "none"), None)  # type: ignore[arg-type]
    assert [path.name for path in target.glob("*.safetensors")] == ["emoji_var.safetensors"]
    written = load_file(target / "emoji_var.safetensors")
    assert written.keys() == start.keys()
    assert all(
        torch.equal(written[name], start[name].half())
        for name in start
        if name != "class_emb.weight"
    )
    torch.testing.assert_close(
        written["class_emb.weight"].float(), start["class_emb.weight"].float(), atol=2e-3, rtol=2e-3
    )
