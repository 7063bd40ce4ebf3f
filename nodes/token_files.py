"""AR Save Tokens and AR Load Tokens: images as tokens in safetensors files. Nothing in a file is ever executed."""

import json
import os
import re
from pathlib import Path

import folder_paths
from comfy.cli_args import args
from comfy_api.v0_0_2 import io

from ..imaging.token_file import not_written, read_tokens, write_tokens
from ..imaging.tokens import ImageTokens
from ..loaders.quote import quoted, reason
from .checked import Node, finite
from .compat import schema, widget
from .types import TokensLink

SUFFIX, OUTPUT = ".safetensors", " [output]"
NOTHING = "no token files yet"
NAME = "ar"  # of files whose prefix names none
TRIES = 10_000


class ARSaveTokens(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ARSaveTokens",
            display_name="AR Save Tokens",
            category="AR Guidance/edit",
            description="Saves images as tokens into ComfyUI's output folder: small files from which they can be decoded,"
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
    def execute(cls, ar_tokens: ImageTokens, filename_prefix: str) -> io.NodeOutput:
        base = folder_paths.get_output_directory()
        if not re.split(r"[/\\]", filename_prefix)[-1].strip(" ."):
            filename_prefix += NAME  # the host counts no files without a name
        try:
            inside(Path(base), Path(base) / filename_prefix, "filename_prefix")
            folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
                filename_prefix, base
            )
        except OSError as error:
            raise ValueError(not_written(filename_prefix, error)) from error
        file = write_numbered(ar_tokens, Path(folder), name, counter, cls.header())
        place = {"filename": file, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(ui={"tokens": [place], "text": [shown(subfolder, file)]})

    @classmethod
    def header(cls) -> dict[str, str]:
        """The prompt and the workflow, as in the host's own files, unless it was started without metadata."""
        if args.disable_metadata or cls.hidden is None:
            return {}
        known = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        return {k: json.dumps(finite(value)) for k, value in known.items() if value is not None}


def write_numbered(
    tokens: ImageTokens, folder: Path, name: str, number: int, header: dict[str, str]
) -> str:
    """Write tokens under the first number, from `number` on, that no file has; the new file's name.

    The host's count is a proposal: other runs may write at the same time, and it knows not every name.
    """
    for place in range(number, number + TRIES):
        file = f"{name}_{place:05}_{SUFFIX}"
        try:
            write_tokens(tokens, folder / file, header)
            return file
        except FileExistsError:
            continue
    raise ValueError(not_written(name, OSError(f"the {TRIES} next numbers are taken")))


def shown(*parts: str) -> str:
    """A file's name as it is shown and listed everywhere: with slashes."""
    return "/".join(part for part in parts if part).replace(os.sep, "/")


def inside(base: Path, path: Path, what: str) -> Path:
    """The real path, if it lies in a folder.

    Raises:
        ValueError: it leads out of it.
    """
    try:
        real = path.resolve()
    except (OSError, ValueError) as error:  # too long, or with a null character
        raise ValueError(f"{what} is not a file name: {reason(error)}") from error
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
    if not path.is_file() and "\\" in name:  # a graph made on Windows
        return chosen_file(name.replace("\\", "/"))
    if not path.is_file():
        raise ValueError(
            f"{quoted(name)}: there is no such file in ComfyUI's {Path(base).name} folder. Put a file of AR Save Tokens into the"
            " input folder and press R in the browser to refresh the list"
        )
    return path


class ARLoadTokens(Node):
    parses = frozenset({"file"})

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = token_files()
        return schema(
            node_id="ARLoadTokens",
            display_name="AR Load Tokens",
            category="AR Guidance/edit",
            description="Loads images that AR Save Tokens saved: from ComfyUI's input folder, or straight from its output"
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
                    tooltip="The saved images as tokens: for AR Tokens to Image, AR Keep Scales or AR Inpaint.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = None) -> bool | str:
        """In place of the host's look into the list, which may be older than the file; a linked name is not known yet."""
        if file is None:
            return True
        try:
            chosen_file(file)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> object:
        stat = chosen_file(file).stat()
        return [file, stat.st_mtime_ns, stat.st_size]

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(read_tokens(chosen_file(file)))
