"""Layers of HART: attention with its own kind of rotary positions, and the diffusion head of the last scale.

Letters as in `hart.py`; W: width of the head.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..parts.cache import KVCache
from ..parts.cast import cast_like
from ..parts.diffusion import respaced
from ..parts.norms import RMSNorm, plain_norm
from ..parts.operations import Operations, Place
from ..parts.rope import line_angles
from ..parts.swiglu import SwiGLU
from ..var import Attention
from .config import HARTConfig

WAVES = 256  # size of a sinusoidal embedding
RESIDUAL_SCALE = 0.6  # residuals were divided by it in training


def sinusoid(values: Tensor) -> Tensor:
    """Numbers (n,) -> (n, 256): cosines, then sines of 128 frequencies from 1 down to 1/10000."""
    half = WAVES // 2
    exponents = torch.arange(half, device=values.device, dtype=torch.float32) / half
    angles = values.float()[:, None] * torch.exp(-math.log(10000) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class NumberEmbed(nn.Module):
    """A number's sinusoid through linear, SiLU, linear (keys `*.mlp.0`, `*.mlp.2`)."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            ops.Linear(WAVES, width, **place), nn.SiLU(), ops.Linear(width, width, **place)
        )

    def forward(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """(n,) -> (n, width)."""
        return self.mlp(sinusoid(values).to(dtype))


def text_angles(positions: Tensor, head_dim: int) -> Tensor:
    """Angles (rows, 1, n, d) of text positions (rows, n): the same frequencies for both halves of a head."""
    angles = line_angles(positions, head_dim // 2)
    return torch.cat([angles, angles], dim=-1)[:, None]


def image_angles(side: int, last: int, offset: Tensor, head_dim: int) -> Tensor:
    """Angles (rows, 1, T, d) of a scale: rows of the grid turn the first half of a head, columns the second.

    Positions are stretched to the last scale's grid and follow the text's last position `offset` (rows,).
    """
    places = torch.arange(side, device=offset.device, dtype=torch.float32) / side * last
    places = places[None] + offset[:, None]  # (rows, side)
    angles = line_angles(places, head_dim // 4)  # (rows, side, d/4)
    doubled = torch.cat([angles, angles], dim=-1)
    rows = doubled[:, :, None].expand(-1, -1, side, -1)
    columns = doubled[:, None].expand(-1, side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(1, 2)[:, None]


def rotate_halves(x: Tensor, angles: Tensor) -> Tensor:
    """x cos + [-second half, first half] sin, x (rows, H, T, d), angles (rows, 1, T, d).

    For image tokens the two halves have different angles, so this is no rotation; the release was trained with it.
    """
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x.float() * angles.cos() + turned * angles.sin()).to(x.dtype)


class Block(nn.Module):
    """Attention and feed-forward behind one shared norm; modulated only in a variant of the release."""

    def __init__(self, config: HARTConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ln_wo_grad = RMSNorm(config.width, config.eps, **place)
        self.attn = Attention(config, ops, **place)
        self.ffn = SwiGLU(config.width, config.ffn, ops, **place)
        if config.shared_adaln:
            self.scale_shift_table = nn.Parameter(torch.empty(6, config.width, **place))

    def forward(
        self,
        x: Tensor,
        modulation: Tensor | None,
        angles: Tensor,
        cache: tuple[KVCache, int],
        dtype: torch.dtype,
    ) -> Tensor:
        """x (rows, T, C), the fp32 residual stream.

        Args:
            modulation: (rows, 1, C), what is added to the table's gamma1, gamma2, scale1, scale2, shift1, shift2.
            angles: (rows, 1, T, d).
            cache: the run's cache and the place of this block in it.
            dtype: of the matrix products.
        """
        if modulation is None:
            x = x + self._attend(self.ln_wo_grad(x), angles, cache, dtype)
            return x + self.ffn(self.ln_wo_grad(x).to(dtype)).float()
        table = cast_like(self.scale_shift_table, x) + modulation  # (rows, 6, C)
        gamma1, gamma2, scale1, scale2, shift1, shift2 = table[:, None].unbind(2)
        y = self.ln_wo_grad(x) * (1 + scale1) + shift1
        x = x + gamma1 * self._attend(y, angles, cache, dtype)
        y = self.ln_wo_grad(x) * (1 + scale2) + shift2
        return x + gamma2 * self.ffn(y.to(dtype)).float()

    def _attend(
        self, x: Tensor, angles: Tensor, cache: tuple[KVCache, int], dtype: torch.dtype
    ) -> Tensor:
        q, k, v = self.attn.project(x.to(dtype))
        keys, values = cache[0].append(cache[1], rotate_halves(k, angles), v)
        q = rotate_halves(q, angles)
        return self.attn.attend(q, keys, values, weights=cache[0].weights).float()


class Head(nn.Module):
    """Norm before the logits, with a scale and shift of the condition (keys `head_nm.*`)."""

    def __init__(self, config: HARTConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.ln_wo_grad = RMSNorm(config.width, config.eps, **place)
        self.ada_lin = nn.Sequential(nn.SiLU(), ops.Linear(config.width, 2 * config.width, **place))

    def modulation(self, condition: Tensor) -> Tensor:
        """(rows, C) -> (rows, 1, 2, C) fp32: scale, shift."""
        return self.ada_lin(condition).float().unflatten(-1, (1, 2, -1))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        scale, shift = modulation.unbind(2)
        return self.ln_wo_grad(x) * (1 + scale) + shift


# --- the residual of the last scale ----------------------------------------------------------------------------------


class ResidualBlock(nn.Module):
    """a + gate mlp(LN(a) (1 + scale) + shift); shift, scale, gate from the condition, in that order."""

    def __init__(self, width: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.in_ln = ops.LayerNorm(width, eps=1e-6, **place)
        self.mlp = nn.Sequential(
            ops.Linear(width, width, **place), nn.SiLU(), ops.Linear(width, width, **place)
        )
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), ops.Linear(width, 3 * width, **place))

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        shift, scale, gate = self.adaLN_modulation(y).chunk(3, dim=-1)
        return a + gate * self.mlp(self.in_ln(a) * (1 + scale) + shift)


class FinalLayer(nn.Module):
    """Norm without parameters, modulated, and a linear layer."""

    def __init__(self, width: int, out: int, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.linear = ops.Linear(width, out, **place)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), ops.Linear(width, 2 * width, **place))

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(y).chunk(2, dim=-1)
        return self.linear(plain_norm(a).to(a.dtype) * (1 + scale) + shift)


class NoiseNet(nn.Module):
    """Estimates the noise in a residual and, in the other half of its channels, the variance."""

    def __init__(self, config: HARTConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        width = config.head_width
        self.time_embed = NumberEmbed(width, ops, **place)
        self.cond_embed = ops.Linear(config.width, width, **place)
        self.input_proj = ops.Linear(config.dim, width, **place)
        self.res_blocks = nn.ModuleList(
            ResidualBlock(width, ops, **place) for _ in range(config.head_depth)
        )
        self.final_layer = FinalLayer(width, 2 * config.dim, ops, **place)

    def forward(self, x: Tensor, timestep: int, z: Tensor) -> Tensor:
        """x (n, Z), z (n, C) -> (n, 2 Z) fp32."""
        time = self.time_embed(torch.tensor([timestep], device=x.device), z.dtype)
        y = time + self.cond_embed(z)
        a = self.input_proj(x.to(z.dtype))
        for block in self.res_blocks:
            a = block(a, y)
        return self.final_layer(a, y).float()


class ResidualHead(nn.Module):
    """Draws the residual of every position by diffusion (keys `diffloss.net.*`)."""

    def __init__(self, config: HARTConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__()
        self.schedule = respaced(config.head_steps)
        self.net = NoiseNet(config, ops, **place)

    def sample(
        self,
        z: Tensor,
        batch: int,
        guidance: float,
        noise: Callable[..., Tensor],
        mix: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Residuals (B, N, Z), fp32.

        Args:
            z: (rows, N, C) condition of every position, conditional rows first; the same x is given to both branches.
            batch: B.
            guidance: t in (1 + t) cond - t uncond, applied to the noise estimate only. At exactly 1 the released
                sampler takes guidance for switched off, and so does this one.
            noise: see `ScalewiseJob.noise`.
            mix: estimates (rows, N, ...) of all branches -> (B or 2 B, N, ...); None = they are these.
        """
        shape = z.shape[1], self.net.input_proj.in_features
        off = math.isclose(guidance, 1, abs_tol=1e-12)
        rows = (z[:batch] if off and mix is None else z).flatten(0, 1)  # (R B N, C)
        x = noise(shape, z.device).flatten(0, 1)  # (B N, Z)
        for step in reversed(range(len(self.schedule.timesteps))):
            repeats = rows.shape[0] // x.shape[0]
            out = self.net(x.repeat(repeats, 1), self.schedule.timesteps[step], rows)
            if mix is not None:
                out = mix(out.unflatten(0, (-1, shape[0]))).flatten(0, 1)
            estimate, variance = out.chunk(2, dim=-1)
            cond = estimate[: len(x)]
            if len(estimate) > len(x) and not off:
                cond = (1 + guidance) * cond - guidance * estimate[len(x) :]
            x, deviation = self.schedule.predict(step, x, cond, variance[: len(x)])
            if step:
                x = x + deviation * noise(shape, z.device).flatten(0, 1)
        return RESIDUAL_SCALE * x.unflatten(0, (batch, -1))
