"""EDM2 in a plan, on tiny networks in the layout of the releases: what is drawn, traced, decoded, and what is refused."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.models.edm2.images import from_pixels
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.heun import Heun, generate
from ar_guidance.tests import tiny_edm2
from ar_guidance.tests.evaluate.plans import small
from ar_guidance.tools.evaluate import command
from ar_guidance.tools.evaluate.command import main
from ar_guidance.tools.evaluate.library import make_torchvision_importable
from ar_guidance.tools.evaluate.plan_file import make_plan
from ar_guidance.tools.evaluate.problems import EvaluationError
from ar_guidance.tools.evaluate.shards import Shard
from ar_guidance.tools.evaluate.version import version
from ar_guidance.tools.evaluate.weights import files_of
from ar_guidance.tools.evaluate.work import Order, Worker
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MIX = [{"mixed": {"scale": 1.4, "igg_scale": -0.4, "schedule": "constant"}}]
PIXELS = {"diffusion": "main.pkl", "guide": "guide.pkl"}


def content(**changes: Any) -> dict[str, Any]:
    """A plan of a tiny network that draws 8 x 8 pixels."""
    plain = {"models": {"s": PIXELS}, "conditions": {"classes": "all"}, "judges": []}
    rows = [{"label": "mix", "chain": MIX}]
    run = {"sampler": {"steps": 3}, "rows": rows, "seeds": 1, "each": 4, "keep": "png"}
    return small(**(plain | run | changes))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Release files of a network that draws pixels and of its unconditional guide."""
    tiny_edm2.write_release(tmp_path / "main.pkl", img_channels=3)
    tiny_edm2.write_release(tmp_path / "guide.pkl", seed=1, img_channels=3, label_dim=0)
    return tmp_path


def worker_of(weights: Path, **changes: Any) -> Worker:
    plan = make_plan(content(**changes))
    return Worker(Order(plan, str(weights), "cpu", version(), command.check(plan, weights)))


def run(weights: Path, out: str, **changes: Any) -> int:
    path = weights / "plan.yaml"
    path.write_text(json.dumps(content(**changes)), encoding="utf-8")  # JSON is YAML
    given = [
        str(path),
        "--weights",
        str(weights),
        "--device",
        "cpu",
        "--output",
        str(weights / out),
    ]
    return main(given)


def test_what_is_drawn_is_what_the_loop_draws_with_this_chain(weights: Path) -> None:
    assert run(weights, "out") == 0
    networks = []
    for seed, classes in ((0, 5), (1, 0)):
        config = tiny_edm2.config_of(tiny_edm2.arguments(img_channels=3, label_dim=classes))
        networks.append(tiny_edm2.network_of(config, tiny_edm2.stored(config, seed)))
    main_network, guide = networks
    labels = F.one_hot(torch.tensor([2, 3]), 5).float()  # samples 2 and 3: classes in turn
    denoiser = Guided.of(
        lambda x, sigma: main_network(x, sigma, labels),
        lambda x, sigma: guide(x, sigma),
        (Mixed(1.4, "constant", igg_scale=-0.4),),
        diffusion_run(3, (8, 8)),
    )
    noise = Streams.of([(0, 2), (0, 3)]).normals((3, 8, 8), torch.device("cpu"))
    with torch.inference_mode():
        wanted = from_pixels(generate(denoiser, noise, Heun(3)))
    for number, image in zip((2, 3), wanted, strict=True):
        kept = np.asarray(Image.open(weights / "out" / "kept" / "s-mix" / f"{number:06d}.png"))
        assert np.abs(kept - image.permute(1, 2, 0).numpy() * 255).max() <= 1.01  # of 256 steps


def test_three_workers_draw_what_one_draws_to_the_last_bit(weights: Path) -> None:
    assert run(weights, "one") == 0
    given = [str(weights / "plan.yaml"), "--weights", str(weights), "--device", "cpu"]
    line = [sys.executable, "-m", "tools.evaluate", *given, "--output", str(weights / "three")]
    done = subprocess.run([*line, "--workers", "3"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("report.json", "report.md"):
        assert (weights / "one" / name).read_bytes() == (weights / "three" / name).read_bytes()


def test_guidance_is_traced_and_acts_in_its_interval_only(weights: Path) -> None:
    chain = [{"cfg": {"scale": 2, "schedule": "constant", "start": 0.3, "end": 0.7}}]
    rows = [{"label": "interval", "chain": chain}, {"label": "mix", "chain": MIX}]
    assert run(weights, "out", rows=rows, trace=True, sampler={"steps": 4}) == 0
    report = json.loads((weights / "out" / "report.json").read_text(encoding="utf-8"))
    interval, mix = (row["steps"]["evenness"] for row in report["rows"])
    assert [value is not None for value in interval] == [False, True, True, False]
    assert len(mix) == 4 and all(0 < value <= 1 for value in mix)


def test_latents_are_decoded_by_diffusers(weights: Path) -> None:
    make_torchvision_importable()
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    sizes = {"block_out_channels": (4, 4, 4, 4), "norm_num_groups": 2, "latent_channels": 4}
    blocks = {
        kind: (f"{name}Block2D",) * 4
        for kind, name in (("down_block_types", "DownEncoder"), ("up_block_types", "UpDecoder"))
    }
    diffusers.AutoencoderKL(**sizes, **blocks).save_pretrained(weights / "vae")
    tiny_edm2.write_release(weights / "main.pkl")
    tiny_edm2.write_release(weights / "guide.pkl", seed=1, label_dim=0)
    assert run(weights, "out", models={"s": PIXELS | {"vae": "vae"}}) == 0
    image = Image.open(weights / "out" / "kept" / "s-mix" / "000000.png")
    assert image.size == (64, 64) and len(np.unique(np.asarray(image))) > 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_draws_nearly_the_same(dtype: str, weights: Path) -> None:
    made = [
        worker_of(weights, models={"s": PIXELS | {"dtype": kind}}).make(Shard(0, 0, 2)).files
        for kind in ("float32", dtype)
    ]
    exact, half = ([np.asarray(Image.open(io.BytesIO(f))) for f in one.values()] for one in made)
    assert np.abs(np.stack(exact).astype(int) - np.stack(half)).mean() < 8


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"models": {"s": {"diffusion": "none.pkl"}}}, "none.pkl is not there"),
        ({"models": {"s": {"diffusion": "main.pkl"}}}, "no guiding network"),
        ({"models": {"s": PIXELS | {"guide": "main.pkl"}}}, "the guide is the network itself"),
        ({"models": {"s": PIXELS | {"guide": "latent.pkl"}}}, "do not belong together"),
        ({"models": {"s": PIXELS | {"vae": "."}}}, "draws pixels: leave 'vae' out"),
        ({"models": {"s": {"diffusion": "latent.pkl"}}}, "name sd-vae-ft-mse"),
        ({"models": {"s": {"diffusion": "latent.pkl", "vae": "."}}}, "no folder of diffusers"),
        ({"models": {"s": {"diffusion": "latent.pkl", "vae": "other"}}}, "has 16 channels"),
        ({"models": {"s": PIXELS | {"image_size": 512}}}, "'image_size' does not go with"),
        ({"models": {"s": PIXELS | {"transformer": "main.pkl"}}}, "one of them"),
        ({"models": {"s": {"diffusion": "plan.yaml"}}}, "plan.yaml"),
        ({"sampler": {"top_k": 900}}, "unknown entry 'top_k'; there are: churn"),
        ({"sampler": {"steps": 0}}, "steps must be 1 or more"),
        ({"keep": "tokens"}, "no tokens to keep"),
        ({"conditions": {"prompts": "plan.yaml"}}, "reads no text"),
        ({"rows": [{"label": "mix", "chain": [{"ssg": {}}]}]}, "mix on 's'"),
    ],
)
def test_what_cannot_be_made_is_said(
    changes: dict[str, Any], said: str, weights: Path, capsys: Any
) -> None:
    tiny_edm2.write_release(weights / "latent.pkl")
    (weights / "other").mkdir()
    config = {"latent_channels": 16, "block_out_channels": [1] * 4}
    (weights / "other" / "config.json").write_text(json.dumps(config))
    assert run(weights, "out", **changes) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and "Traceback" not in error


def test_the_papers_rows_have_a_plan() -> None:
    plan = command.read_plan(command.PLANS / "igg-edm2.yaml")
    fids = {setting.slug: setting.paper["fid"] for setting in plan.settings}
    assert sorted(fids.values()) == [1.82, 1.84, 2.2, 2.29]
    with pytest.raises(EvaluationError, match=r"edm2-img512-s-2147483-0\.025\.pkl is not there"):
        files_of("s", plan.models["s"], Path("none"))
