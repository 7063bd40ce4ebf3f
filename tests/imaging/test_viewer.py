"""What the viewer is sent: small, complete, and true to the run."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.head import CATEGORICAL
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.imaging.filmstrip import Maker
from ar_guidance.imaging.viewer import IMAGES, TOP, Viewer, packed, published_schedule, step_maps
from ar_guidance.sampling.plan import SamplerSettings, facts
from ar_guidance.sampling.preview import colour, fit_colours
from ar_guidance.tests.tiny import tiny_hart
from ar_guidance.tests.tiny_tokens import tiny_llamagen
from PIL import Image
from torch import Tensor

GRIDS = ((1, 1), (2, 2), (3, 4))


def run(viewer: Viewer, recorder: TraceRecorder, batch: int) -> Tensor:
    """A made-up run of three scales; its last feature map."""
    features = torch.zeros(batch, 5, 3, 4)
    for k, (h, w) in enumerate(GRIDS):
        features = features + torch.randn(batch, 5, 3, 4)
        cond = torch.randn(batch, h * w, 9)
        if k:
            recorder.add("added", k, lambda cond=cond: cond.norm(dim=-1))
        recorder.add("entropy", k, lambda cond=cond: cond.abs().mean(-1).clamp(0, 1))
        tokens = cond.argmax(-1)
        viewer(
            SimpleNamespace(
                index=k, count=3, cond=cond, guided=cond * 2, tokens=tokens, features=features
            )
        )
    return features


def test_payload() -> None:
    recorder = TraceRecorder(GRIDS)
    viewer = Viewer(recorder, lambda progress: progress.features, candidates=True)
    features = run(viewer, recorder, batch=6)
    image = torch.rand(6, 24, 32, 3)
    trace = recorder.finish()
    sent = json.loads(json.dumps(viewer.payload(image, features, trace)))
    assert (sent["size"], sent["batch"], sent["grids"]) == ([32, 24], 6, [list(g) for g in GRIDS])
    assert len(sent["pictures"]) == IMAGES
    first = sent["pictures"][0]
    assert len(first["frames"]) == len(first["evenness"]) == len(first["candidates"]) == 3
    assert first["maps"]["added"][0] is None and first["evenness"][0] is None
    assert first["final"].startswith("data:image/bmp;") and opened(first["final"]).shape[:2] == (
        24,
        32,
    )
    values = base64.b64decode(first["maps"]["added"][2]["values"])
    assert len(values) == 12 and {min(values), max(values)} == {0, 255}
    last = first["candidates"][2]
    for side in ("before", "after"):
        assert [len(row) for row in last[side]["tokens"]] == [TOP] * 12
    assert [row[0] for row in last["before"]["tokens"]] == last["drawn"]
    assert all(
        a[0] >= b[0] for a, b in zip(last["after"]["share"], last["before"]["share"], strict=True)
    )


def opened(url: str) -> Tensor:
    """The image (H, W, 3) of a data URL, 0-255."""
    file = io.BytesIO(base64.b64decode(url.split(",")[1]))
    return torch.from_numpy(np.array(Image.open(file)))


def test_frames_are_those_of_their_image_and_step() -> None:
    recorder = TraceRecorder(GRIDS)
    viewer = Viewer(recorder, lambda progress: progress.features)
    features, image = run(viewer, recorder, batch=3), torch.rand(3, 24, 32, 3)
    sent = viewer.payload(image, features, recorder.finish())["pictures"]
    fitted = fit_colours(features, image)
    for k, step in enumerate(viewer.steps):
        wanted = (colour(step, fitted) * 255).round()
        for shown, one in zip(sent, wanted, strict=True):
            assert (opened(shown["frames"][k]) - one).abs().max() <= 1
    for shown, one in zip(sent, image, strict=True):
        assert (opened(shown["final"]) - one * 255).abs().max() <= 0.5


def test_live_map_and_silence() -> None:
    recorder, heard = TraceRecorder(GRIDS), []
    viewer = Viewer(recorder, None, send=heard.append)
    values = torch.tensor([[1.0, 2.0, 3.0, 5.0]])
    recorder.add("added", 1, lambda: values)
    viewer.live(SimpleNamespace(index=1, count=3))
    viewer.live(SimpleNamespace(index=0, count=3))  # nothing was recorded at this step
    assert [message["map"] for message in heard] == ["added"]
    assert (heard[0]["low"], heard[0]["high"], heard[0]["grid"]) == (1.0, 5.0, [2, 2])
    Viewer(recorder, None).live(SimpleNamespace(index=1, count=3))


def test_a_live_map_does_not_wait_for_the_end_of_the_run() -> None:
    """What is measured of small steps waits for others, unless somebody looks."""
    recorder, heard = TraceRecorder(GRIDS), []
    chain = Chain([CFG(3.0)]).begin(RunInfo("scale", GRIDS), recorder)
    viewer = Viewer(recorder, None, send=heard.append)
    for k, (h, w) in enumerate(GRIDS):
        chain.apply(k, torch.randn(1, h * w, 9), torch.randn(1, h * w, 9), CATEGORICAL)
        viewer.live(SimpleNamespace(index=k, count=3))
    assert [(message["step"], message["map"]) for message in heard] == [
        (k, "added") for k in range(3)
    ]


def test_a_flat_map_is_zero() -> None:
    assert set(base64.b64decode(packed(np.full((1, 4), 3.0), [4])[0][0]["values"])) == {0}


def test_maps_of_several_steps_have_ranges_of_their_own() -> None:
    """Packed at once, as each by itself; what was not recorded, and what is nothing but zeros, is left out."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(3, n, n, generator=generator).half() for n in (1, 2, 5)]
    rows[1][1] = 0
    made = step_maps([rows[0], None, *rows[1:]], 2)
    assert made[1] == [None, None] and made[2][1] is None
    for row, step in zip(rows, [made[0], *made[2:]], strict=True):
        for one, shown in zip(row, step, strict=False):
            if shown is None:
                continue
            low, high = one.min().item(), one.max().item()
            assert (shown["low"], shown["high"]) == (low, high)
            levels = (one.float() - low) * (255 / (high - low) if high > low else 0)
            assert list(base64.b64decode(shown["values"])) == levels.round().flatten().tolist()
    assert step_maps([None, None], 2) == [[None, None]] * 2


def test_what_family_default_means_is_sent() -> None:
    for tiny, kind, steps in ((tiny_hart(), "held ramp", 4), (tiny_llamagen(), "constant", 12)):
        run = facts(tiny, SamplerSettings())
        sent = json.loads(json.dumps(published_schedule(run)))
        assert sent["steps"] == run.count == steps and sent["published"]["kind"] == kind
        again = Schedule(**sent["published"])
        for k in range(run.count):
            wanted = CFG(4.0).gamma(k, run)
            assert again.strength(k, run.count, 4.0, rest=1.0) == wanted


def test_bits_have_no_candidates_and_the_viewer_is_told() -> None:
    recorder, image = TraceRecorder(GRIDS[1:2]), torch.rand(1, 8, 8, 3)
    features = torch.randn(1, 5, 2, 2)
    bits = torch.randint(0, 2, (1, 4, 6))
    logits = torch.randn(1, 4, 12)
    step = SimpleNamespace(
        index=0, count=1, cond=logits, guided=logits, tokens=bits, features=features
    )
    recorder.add("entropy", 0, lambda: torch.rand(1, 4))
    for asked in (True, False):
        viewer = Viewer(recorder, lambda progress: progress.features, candidates=asked)
        viewer(step)
        sent = viewer.payload(image, features, recorder.finish())
        assert sent["bits"] is asked and sent["pictures"][0]["candidates"] == []


def test_the_filmstrip_names_every_image() -> None:
    recorder = TraceRecorder(GRIDS)
    viewer = Viewer(recorder, lambda progress: progress.features)
    features = run(viewer, recorder, batch=6)
    makers = [Maker(k, 2**63 + k, 0, f"class {k}") for k in range(6)]
    trace = recorder.finish()
    sent = json.loads(json.dumps(viewer.payload(torch.rand(6, 24, 32, 3), features, trace, makers)))
    assert [shot["seed"] for shot in sent["strip"]] == [str(2**63 + k) for k in range(6)]
    assert [shot["place"] for shot in sent["strip"]] == list(range(6))
    assert sent["strip"][5]["name"] == "class 5"
    assert all(shot["url"].startswith("data:image/jpeg") for shot in sent["strip"])
    assert len(sent["pictures"]) == IMAGES  # only these can be looked into


def test_candidates_have_the_colours_of_their_codes() -> None:
    recorder = TraceRecorder(GRIDS)
    codes = torch.randn(9, 5)
    viewer = Viewer(
        recorder, lambda p: p.features, candidates=True, lookup=lambda t: codes[t], codes=8
    )
    features = run(viewer, recorder, batch=2)
    image = torch.rand(2, 24, 32, 3)
    colours = viewer.payload(image, features, recorder.finish())["colours"]
    assert "8" not in colours and set(colours) <= {str(k) for k in range(8)}  # 8 has no code
    fitted = fit_colours(features, image)[:-1]
    for token, rgb in colours.items():
        assert np.allclose(rgb, codes[int(token)] @ fitted, atol=1e-3)
