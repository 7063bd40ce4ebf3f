"""The hook after CFG, given what newer samplers say: the shapes of latents that they packed into one."""

from types import SimpleNamespace

import pytest
import torch
from ar_guidance.guidance.diffusion import DiffusionMix
from ar_guidance.nodes.execution.post_cfg import PostCFG

FILM, SOUND = (1, 3, 2, 4, 5), (1, 6, 7)
MIX = DiffusionMix(igg_scale=0.5, cfg_scale=2.0)


def packed(*parts: torch.Tensor) -> torch.Tensor:
    """Latents as ComfyUI packs a film and its sound: (B, 1, numbers)."""
    return torch.cat([part.flatten(1)[:, None] for part in parts], -1)


def behind(cond: torch.Tensor, uncond: torch.Tensor, model: SimpleNamespace) -> torch.Tensor:
    """What the hook makes of plain CFG at scale 3."""
    return PostCFG(MIX)(
        {
            "denoised": uncond + 3.0 * (cond - uncond),
            **{"cond_denoised": cond, "uncond_denoised": uncond, "uncond": [object()]},
            **{"cond_scale": 3.0, "sigma": torch.ones(1), "model": model, "model_options": {}},
        }
    )


def test_latents_packed_into_one_are_guided_one_by_one() -> None:
    torch.manual_seed(0)
    (c1, u1), (c2, u2) = torch.randn(2, *FILM), torch.randn(2, *SOUND)
    plain = SimpleNamespace(model_sampling=None)
    wanted = packed(behind(c1, u1, plain), behind(c2, u2, plain))
    model = SimpleNamespace(model_sampling=None, latent_shapes=[FILM, SOUND])
    made = behind(packed(c1, c2), packed(u1, u2), model)
    assert torch.allclose(made, wanted, atol=1e-5)
    one = SimpleNamespace(model_sampling=None, latent_shapes=[FILM])  # said of every latent
    assert torch.equal(behind(c1, u1, one), behind(c1, u1, plain))
    with pytest.raises(ValueError, match="several latents packed into one"):
        behind(packed(c1, c2), packed(u1, u2), plain)
