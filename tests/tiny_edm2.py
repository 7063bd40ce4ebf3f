"""Tiny EDM2 networks with random weights, and files of them in the layout of the releases."""

import collections
import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import torch
from ar_guidance.models.edm2.config import ARGUMENTS, EDM2Config
from ar_guidance.models.edm2.network import EDM2, FAMILY, build
from safetensors.torch import save_file
from torch import Tensor

# What the releases store as the text of a module. Whoever runs it is found out: it leaves a file behind.
SOURCE = "import pathlib; pathlib.Path({marker!r}).touch()"


def arguments(**changes: Any) -> dict[str, Any]:
    """Constructor arguments of a small latent network."""
    given = {"img_resolution": 8, "img_channels": 4, "label_dim": 5, "model_channels": 8}
    return {
        **given,
        "channel_mult": [1, 2],
        "num_blocks": 1,
        "attn_resolutions": [4],
        "channels_per_head": 8,
        **changes,
    }


def config_of(given: dict[str, Any]) -> EDM2Config:
    widths = tuple(given["model_channels"] * m for m in given["channel_mult"])
    return EDM2Config(
        resolution=given["img_resolution"],
        channels=given["img_channels"],
        classes=given["label_dim"],
        widths=widths,
        blocks=given["num_blocks"],
        attention=tuple(given["attn_resolutions"]),
        embedding=max(widths),
        noise_width=given["model_channels"],
        head_width=given["channels_per_head"],
    )


def stored(config: EDM2Config, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors as a file holds them: its names, half precision, weights of any norm."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = build(config).state_dict()
    tensors = {}
    for key, meta in shapes.items():
        value = torch.randn(meta.shape, generator=generator)
        if key.endswith("phases"):
            value *= 6.28
        name = key.replace(".attn.qkv.", ".attn_qkv.").replace(".attn.proj.", ".attn_proj.")
        tensors[name] = value.half()
    return tensors


def network_of(config: EDM2Config, tensors: dict[str, Tensor]) -> EDM2:
    """The network with these tensors of a file, in fp32."""
    own = dict(FAMILY.convert(key, value) for key, value in tensors.items())
    network = build(config).eval()
    network.load_state_dict({key: FAMILY.prepare(key, own) for key in own})
    return network


def write_safetensors(path: Path, seed: int = 0, **changes: Any) -> Path:
    """A converted file, as `tools/convert_checkpoint.py` writes it."""
    given = arguments(**changes)
    save_file(stored(config_of(given), seed), path, {ARGUMENTS: json.dumps(given)})
    return path


class _Reduced:
    """An object that pickles as a call of a name."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.call = (function, given)

    def __reduce__(self) -> Any:
        return self.call


def write_release(
    path: Path,
    seed: int = 0,
    protocol: int = 4,
    extra: dict[str, Any] | None = None,
    tensors: dict[str, Tensor] | None = None,
    **changes: Any,
) -> Path:
    """A release file (a pickle of persistent objects).

    Args:
        extra: more entries of the outermost dictionary.
        tensors: in place of random ones.
        changes: of the constructor's arguments.
    """
    given = arguments(**changes)
    with _Release() as release:
        source = SOURCE.format(marker=str(path.with_suffix(".marker")))
        tensors = stored(config_of(given), seed) if tensors is None else tensors
        network = release.network(tensors, given, source)
        encoder = "StabilityVAEEncoder" if given["img_channels"] == 4 else "StandardRGBEncoder"
        state = {"_init_args": (), "_init_kwargs": {}, "scale": torch.ones(4).numpy()}
        content = release.easy_dict()
        content.update(
            encoder=release.persistent(encoder, state, source),
            dataset_kwargs=release.easy_dict(),
            ema=network,
            **(extra or {}),
        )
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


class _Release:
    """The names a release file uses, there while one is written."""

    def __enter__(self) -> "_Release":
        self.easy_dict = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})

        def _reconstruct_persistent_obj(meta: Any) -> None:
            raise AssertionError("only written, never called")

        _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
        _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
        self.function = _reconstruct_persistent_obj
        self.modules = {
            "dnnlib": types.ModuleType("dnnlib"),
            "dnnlib.util": types.SimpleNamespace(EasyDict=self.easy_dict),
            "torch_utils": types.ModuleType("torch_utils"),
            "torch_utils.persistence": types.SimpleNamespace(
                _reconstruct_persistent_obj=_reconstruct_persistent_obj
            ),
        }
        sys.modules.update(self.modules)  # type: ignore[arg-type]
        return self

    def __exit__(self, *exception: Any) -> None:
        for name in self.modules:
            del sys.modules[name]

    def persistent(self, name: str, state: dict[str, Any], source: str) -> Any:
        meta = {"type": "class", "version": 6, "module_src": source}
        return _Reduced(self.function, {**meta, "class_name": name, "state": state})

    def network(self, tensors: dict[str, Tensor], given: dict[str, Any], source: str) -> Any:
        tree: dict[str, Any] = {}
        for key, tensor in tensors.items():
            *path, name = key.split(".")
            place = tree
            for step in path:
                place = place.setdefault(step, {})
            place[name] = tensor
        return self._module(tree, "", {"_init_args": (), "_init_kwargs": given}, source)

    def _module(self, tree: dict[str, Any], path: str, more: dict[str, Any], source: str) -> Any:
        buffers = {n: t for n, t in tree.items() if n in ("freqs", "phases")}
        state = {
            "training": False,
            "_parameters": collections.OrderedDict(
                (n, torch.nn.Parameter(t, requires_grad=False))
                for n, t in tree.items()
                if isinstance(t, Tensor) and n not in buffers
            ),
            "_buffers": buffers,
            "_non_persistent_buffers_set": set(),
            "_modules": {
                n: self._module(t, f"{path}{n}.", {}, source)
                for n, t in tree.items()
                if isinstance(t, dict)
            },
            **more,
        }
        if path in ("unet.enc.", "unet.dec."):
            container = torch.nn.ModuleDict()
            container.__dict__.update(state)
            return container
        return self.persistent(_class_of(path), state, source)


def _class_of(path: str) -> str:
    """Class of the module at a place of the network."""
    if not path:
        return "Precond"
    last = path.split(".")[-2]
    if last == "unet":
        return "UNet"
    if "fourier" in last:
        return "MPFourier"
    return (
        "Block" if "block" in last or last.endswith(("_in0", "_in1", "_up", "_down")) else "MPConv"
    )
