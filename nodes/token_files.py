"""AR Save Tokens and AR Load Tokens: pictures as tokens in safetensors files. Nothing in a file is ever executed."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.v0_0_2 import io
from safetensors.torch import save_file
from torch import Tensor

from ..loaders.read import read_weights
from .compat import schema, widget
from .running.tokens import PictureTokens, describe_grids
from .types import TokensLink

FORMAT, SUFFIX, OUTPUT = "ar_tokens 1", ".safetensors", " [output]"
NOTHING = "no token files yet"


def compact(step: Tensor) -> Tensor:
    """Tokens in the smallest integer type that holds them."""
    largest = int(step.max()) if step.numel() else 0
    kinds = ((torch.uint8, 1 << 8), (torch.int16, 1 << 15), (torch.int32, 1 << 31))
    return step.to(next((kind for kind, end in kinds if largest < end), torch.int64)).contiguous()


def write_tokens(tokens: PictureTokens, path: Path, more: dict[str, str] | None = None) -> None:
    """Save tokens; `more`: further text for the file's header. The file is complete or not there."""
    tensors = {f"step.{k}": compact(step) for k, step in enumerate(tokens.steps)}
    if tokens.features is not None:
        tensors["features"] = tokens.features.float().contiguous()
    facts = {
        "format": FORMAT,
        "kind": tokens.kind,
        "grids": json.dumps(tokens.grids),
        "codec": tokens.codec,
        "family": tokens.family,
    }
    unfinished = path.with_name(path.name + ".part")
    save_file(tensors, unfinished, (more or {}) | facts)
    os.replace(unfinished, path)


def read_tokens(path: Path) -> PictureTokens:
    """Tokens from a file that AR Save Tokens made.

    Raises:
        ValueError: it is not one, or it is damaged; the message names the file and what is wrong.
    """
    weights = read_weights(path)
    facts = weights.metadata
    if facts.get("format") != FORMAT:
        found = (
            f"its format is '{facts['format']}'" if "format" in facts else "it has no such header"
        )
        raise ValueError(
            f"{path.name}: this file was not made by AR Save Tokens ({found}). Choose one that was;"
            " model files belong into AR Load Checkpoint"
        )
    try:
        grids = tuple((int(h), int(w)) for h, w in json.loads(facts["grids"]))
        count = len(grids) if facts["kind"] == "scale" else 1
        steps = tuple(_step(weights.tensors[f"step.{k}"]) for k in range(count))
        features = weights.tensors.get("features")
        _check_shapes(facts["kind"], grids, steps, features)
        return PictureTokens(facts["kind"], grids, steps, facts["codec"], facts["family"], features)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path.name}: this file of tokens is damaged: {what}") from error


def _step(tensor: Tensor) -> Tensor:
    if tensor.is_floating_point() or tensor.dim() not in (2, 3):
        raise ValueError("it holds numbers that are no tokens")
    return tensor.long()


def _check_shapes(
    kind: str, grids: Sequence[tuple[int, int]], steps: Sequence[Tensor], features: Tensor | None
) -> None:
    if kind not in ("scale", "token"):
        raise ValueError(f"its kind is '{kind}'")
    for step, (height, width) in zip(steps, grids, strict=True):
        fits = step.shape[1] == height * width
        if step.shape[0] != len(steps[0]) or not (fits or kind == "token"):
            raise ValueError(
                f"{tuple(step.shape)} tokens do not fit {describe_grids(grids)} of {len(steps[0])} pictures"
            )
    if features is not None and (len(features) != len(steps[0]) or not features.isfinite().all()):
        raise ValueError("its feature map does not belong to its tokens")


class ARSaveTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARSaveTokens",
            display_name="AR Save Tokens",
            category="AR Guidance/edit",
            description="Saves pictures as tokens into ComfyUI's output folder: small files from which they can be decoded,"
            " varied and changed later without loss.",
            search_aliases=["save latent", "export tokens"],
            inputs=[
                TokensLink.Input("ar_tokens", tooltip="From AR Decode or AR Image to Tokens."),
                widget(
                    io.String,
                    "filename_prefix",
                    default="tokens/ar",
                    tooltip="Beginning of the file's name, in ComfyUI's output folder; a number is added. 'folder/name' puts"
                    " it into a folder there.",
                ),
            ],
            outputs=[],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(cls, ar_tokens: PictureTokens, filename_prefix: str) -> io.NodeOutput:
        base = folder_paths.get_output_directory()
        inside(Path(base), Path(base) / filename_prefix, "filename_prefix")
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, base
        )
        file = f"{name}_{counter:05}_{SUFFIX}"
        write_tokens(ar_tokens, Path(folder) / file, cls.header())
        place = {"filename": file, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(ui={"tokens": [place], "text": [os.path.join(subfolder, file)]})

    @classmethod
    def header(cls) -> dict[str, str]:
        """The prompt and the workflow, as in the host's own files, unless it was started without metadata."""
        if args.disable_metadata or cls.hidden is None:
            return {}
        known = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        return {name: json.dumps(value) for name, value in known.items() if value is not None}


def inside(base: Path, path: Path, what: str) -> Path:
    """The real path, if it lies in a folder.

    Raises:
        ValueError: it leads out of it.
    """
    real = path.resolve()
    if not real.is_relative_to(base.resolve()):
        raise ValueError(f"{what} leads out of ComfyUI's {base.name} folder: use a name inside it")
    return real


def token_files() -> list[str]:
    """Token files of the input folder, then those of the output folder with the host's mark for it."""
    found = _listed(folder_paths.get_input_directory())
    found += [name + OUTPUT for name in _listed(folder_paths.get_output_directory())]
    return found or [NOTHING]


def _listed(base: str) -> list[str]:
    paths = Path(base).rglob(f"*{SUFFIX}")
    return sorted(path.relative_to(base).as_posix() for path in paths if path.is_file())


def chosen_file(name: str) -> Path:
    """Where the file is that a user chose.

    Raises:
        ValueError: there is none of that name, or the name leads elsewhere.
    """
    output = name.endswith(OUTPUT)
    base = folder_paths.get_output_directory() if output else folder_paths.get_input_directory()
    path = inside(Path(base), Path(base) / name.removesuffix(OUTPUT), "the file's name")
    if not path.is_file():
        raise ValueError(
            f"{name}: there is no such file in ComfyUI's {Path(base).name} folder. Put a file of AR Save Tokens into the"
            " input folder and press R in the browser to refresh the list"
        )
    return path


class ARLoadTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        names = token_files()
        return schema(
            node_id="ARLoadTokens",
            display_name="AR Load Tokens",
            category="AR Guidance/edit",
            description="Loads pictures that AR Save Tokens saved: from ComfyUI's input folder, or straight from its output"
            " folder.",
            search_aliases=["load latent", "import tokens"],
            inputs=[
                widget(
                    io.Combo,
                    "file",
                    options=names,
                    default=names[0],
                    tooltip="Files in ComfyUI's input folder; those marked [output] lie where AR Save Tokens put them.",
                ),
            ],
            outputs=[
                TokensLink.Output(
                    "ar_tokens",
                    display_name="AR_TOKENS",
                    tooltip="The saved pictures as tokens: for AR Tokens to Image, AR Keep Scales or AR Inpaint.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> Any:
        """In place of the host's look into the list, which may be older than the file."""
        try:
            chosen_file(file)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> Any:
        stat = chosen_file(file).stat()
        return [file, stat.st_mtime_ns, stat.st_size]

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(read_tokens(chosen_file(file)))
