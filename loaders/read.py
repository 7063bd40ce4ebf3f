"""Reading weight files without ever running code from them: the only place that opens one."""

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from ..models.edm2.config import ARGUMENTS
from ..models.parts.settings import Json
from . import edm2_pickle
from .jit import archive_tensors
from .json_files import ADDED_TOKENS, TOKENIZER_SETTINGS, added_tokens, ids_of, read_json
from .kinds import AGAIN, PICKLE, PROGRAM, SAFETENSORS, Unreadable, kind_of
from .opcodes import Damaged, Refused
from .quote import listed, quoted, reason
from .sets import unwrapped

SUFFIXES = {".safetensors", ".sft", ".pth", ".pt", ".bin", ".ckpt", ".jit", ".pkl"}

INDEX, INDEX_SUFFIX = "model.safetensors.index.json", ".safetensors.index.json"
_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.\w+)")  # model-00001-of-00002.safetensors

# Two halves of one image tokenizer, released as two TorchScript archives in one folder.
HALVES = ("encoder.jit", "decoder.jit")

# What is read from the folder of a weight file, besides `<name of the file>.json`. Whether a loaded model is still the one its
# files say depends on all of them (`files_of`).
SETTINGS, GENERATION = "config.json", "generation_config.json"
TOKENIZER, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
SPECIAL_TOKENS = "special_tokens_map.json"  # read by `transformers`
INSTRUCTION = "prompt_prefix.txt"
CODE_LISTS = "taming_vqvae_*.pt"  # of VQ-Diffusion
BESIDE = (
    *(SETTINGS, GENERATION, TOKENIZER, VOCABULARY, MERGES),
    *(TOKENIZER_SETTINGS, ADDED_TOKENS, SPECIAL_TOKENS, INSTRUCTION),
)

# How torch's loader of tensors and containers says that a file names more than those, in words that differ by version.
_UNPICKLER = "WeightsUnpickler error:"
_BLOCKED = re.compile(
    r"unsupported (?!operand)|unrecognized|not (an )?allowed|can only|blocklist", re.IGNORECASE
)
SHARDS_MOST = 1000  # files of one checkpoint
DEPTH_MOST, TENSORS_MOST = 64, 200_000  # of nested dictionaries, and in one file


class CheckpointError(ValueError):
    """A model file is not what was asked for: the first line says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class Weights:
    """Tensors of a file under dotted keys (nested dictionaries flattened), and what is said about them.

    Attributes:
        metadata: text entries of a safetensors header.
        settings: entries of `<name of the file>.json`, or else `config.json`, in the same folder.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the file lies, with whatever belongs to it."""
        return folder_of(self.path)

    @cached_property
    def settings(self) -> dict[str, Json]:
        found = next((file for file in _settings_files(self.path) if file.is_file()), None)
        return {} if found is None else read_json(found)

    @cached_property
    def code_lists(self) -> tuple[tuple[int, ...], ...]:
        """Lists of kept codes in the same folder (`taming_vqvae_*.pt`), see `FileFacts`."""
        return tuple(_code_list(path) for path in sorted(self.folder.glob(CODE_LISTS)))

    @property
    def generation(self) -> dict[str, Json]:
        """Entries of `generation_config.json` in the same folder."""
        return read_json(self.folder / GENERATION)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Text token -> id, from the settings (`vocabulary_map`), or the tokenizer's files in the same folder."""
        words = self.settings.get("vocabulary_map")
        if isinstance(words, dict):
            return ids_of(words)
        content = read_json(self.folder / TOKENIZER)
        if not content:
            words = ids_of(read_json(self.folder / VOCABULARY))
            return words | {name: id for id, name in added_tokens(self.folder).items()}
        model, added = content.get("model"), content.get("added_tokens")
        words = model.get("vocab") if isinstance(model, dict) else None
        extra = [t for t in added if isinstance(t, dict)] if isinstance(added, list) else []
        more = {str(token["content"]): token.get("id") for token in extra if "content" in token}
        return ids_of(words if isinstance(words, dict) else {}) | ids_of(more)


def _code_list(path: Path) -> tuple[int, ...]:
    """One number for every code.

    Raises:
        CheckpointError: the file holds anything else.
    """
    found = list(_read_one(path).tensors.values())
    if len(found) != 1 or found[0].dim() != 1 or found[0].is_floating_point():
        raise CheckpointError(
            f"{path.name}: this is not a list of kept codes, which is one row of whole numbers. Get it again from"
            " VQ-Diffusion's repository (help_folder/statistics), or take the file out of the folder"
        )
    numbers = found[0].tolist()
    if not numbers or set(numbers) != set(range(max(numbers) + 1)):
        raise CheckpointError(
            f"{path.name}: this list of kept codes leaves numbers out, so some tokens would have no code."
            " Get it again from VQ-Diffusion's repository (help_folder/statistics)"
        )
    return tuple(numbers)


def folder_of(path: Path) -> Path:
    """Where a weight file lies, or the folder itself where one of several files stands for it."""
    return path if path.is_dir() else path.parent


def _settings_files(path: Path) -> tuple[Path, Path]:
    """Where settings may lie, the file's own first."""
    return path.with_suffix(".json"), folder_of(path) / SETTINGS


def files_of(path: Path) -> list[Path]:
    """Every file that reading this one may open, whether it is there or not: all of its pieces, and what lies beside."""
    pieces = [path]
    if path.name.endswith(INDEX_SUFFIX):
        places = read_json(path).get("weight_map")
        names = {str(name) for name in places.values()} if isinstance(places, dict) else set()
        if (
            len(names) <= SHARDS_MOST
        ):  # an index that lists more is refused before any of them is opened
            pieces += [path.parent / name for name in sorted({Path(name).name for name in names})]
    elif names := _shard_names(path):
        pieces = [path.parent / name for name in names]
    elif path.name in HALVES:
        pieces = [path.with_name(name) for name in HALVES]
    stands = path.parent if len(pieces) > 1 and path.name not in HALVES else path
    beside = [folder_of(path) / name for name in BESIDE]
    beside += sorted(folder_of(path).glob(CODE_LISTS))
    return list(dict.fromkeys((*pieces, *_settings_files(stands), *beside)))


def _shard_names(path: Path) -> list[str]:
    """Names of all the files that one called `...-00001-of-00002...` belongs to; [] for others.

    Raises:
        CheckpointError: a name that claims more files than any checkpoint has.
    """
    if not (match := _SHARD.fullmatch(path.name)):
        return []
    stem, count, suffix = match.groups()
    if int(count) > SHARDS_MOST:
        raise CheckpointError(
            f"{quoted(path.name)}: its name says that it is one of {int(count):,} files, and no checkpoint has more than"
            f" {SHARDS_MOST:,}. Give it the name it was released with"
        )
    return [f"{stem}-{n:05d}-of-{count}{suffix}" for n in range(1, int(count) + 1)]


def read_weights(path: str | Path) -> Weights:
    """Open a `.safetensors` file, a folder or index of several, a torch pickle restricted to tensors and containers, or a `.jit`.

    A file whose name says that it is one of several (`...-00001-of-00002...`) is read with the others.

    Tensors are memory-mapped where the format allows it: nothing is read until it is used.

    Raises:
        CheckpointError: not a weight file, cut short, or one that would need to run code.
    """
    path = Path(path)
    if path.is_dir():
        path = path / INDEX
    if path.name.endswith(INDEX_SUFFIX) and path.is_file():
        found = _read_shards(path)
    elif not path.is_file():
        raise CheckpointError(
            f"{quoted(path.name)}: there is no such file in {quoted(path.parent, 200)}. Put it there, or choose another one"
        )
    elif names := _shard_names(path):
        found = _read_all(path.parent, names)
    else:
        found = _read_one(path)
    return replace(found, tensors=unwrapped(found.tensors))


def _read_one(path: Path) -> Weights:
    """The tensors of one file, which its bytes, not its name, say how to read."""
    try:
        kind = kind_of(path)
    except Unreadable as error:
        raise CheckpointError(f"{quoted(path.name)}: {error}") from error
    except OSError as error:
        raise CheckpointError(_damaged(path, error)) from error
    readers = {SAFETENSORS: _read_safetensors, PROGRAM: _read_program, PICKLE: _read_edm2}
    found = readers.get(kind, _read_torch)(path)
    for key, tensor in found.tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                _damaged(path, ValueError(f"{quoted(key)} claims more numbers than are stored"))
            )
    return found


def _read_program(path: Path) -> Weights:
    return Weights(path, _read_archives(path))


def _read_torch(path: Path) -> Weights:
    return Weights(path, dict(_flatten(_load_pickle(path), path)))


def _read_edm2(path: Path) -> Weights:
    """A release file of EDM2; nothing in it is run."""
    try:
        found = edm2_pickle.read_network(path)
    except Refused as error:
        raise CheckpointError(
            f"{quoted(path.name)}: this file holds Python objects besides tensors ({quoted(str(error))}), and opening it the"
            " ordinary way could run code. It is not a release file of EDM2, the only plain pickle this pack reads. Nothing"
            " of it was run. If you trust its source, convert it once to .safetensors with tools/convert_checkpoint.py"
        ) from error
    except (Damaged, OSError) as error:
        raise CheckpointError(_damaged(path, error)) from error
    return Weights(path, found.tensors, {ARGUMENTS: found.described()})


def _read_archives(path: Path) -> dict[str, Tensor]:
    """Tensors of a TorchScript archive; of both, where it is one of the two halves of a tokenizer."""
    halves = [path.with_name(name) for name in HALVES] if path.name in HALVES else [path]
    if not halves[-1].is_file():
        raise CheckpointError(
            f"{quoted(path.name)}: {halves[-1].name} is missing beside it. Put both into one folder of their own"
        )
    tensors: dict[str, Tensor] = {}
    for half in halves:
        if not half.is_file():
            continue
        try:
            tensors |= archive_tensors(half)
        except (ValueError, OSError) as error:
            raise CheckpointError(_damaged(half, error)) from error
    return tensors


def _read_shards(index: Path) -> Weights:
    """All tensors of a sharded checkpoint, from the shards its index names."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(
            f"{quoted(index.name)}: this is not the index of a sharded checkpoint (no weight_map). Download it again, with"
            " the files it lists"
        )
    listed_as = {str(name) for name in places.values()}
    if len(listed_as) > SHARDS_MOST:
        raise CheckpointError(
            f"{quoted(index.name)}: it lists {len(listed_as):,} files, and no checkpoint has more than {SHARDS_MOST:,}."
            " Download it again"
        )
    found = _read_all(index.parent, sorted({Path(name).name for name in listed_as}))
    lost = [key for key in places if key not in found.tensors]
    if lost:
        raise CheckpointError(
            f"{quoted(index.parent.name)}: its files lack {listed(lost)}, which the index promises."
            " One of them may belong to another checkpoint: get them again"
        )
    return found


def _read_all(folder: Path, names: list[str]) -> Weights:
    """All tensors of the files of one checkpoint, under the folder's name."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{quoted(folder.name)}: {len(missing)} of its {len(names)} files are missing ({listed(missing)})."
            " Download all of them into one folder"
        )
    tensors: dict[str, Tensor] = {}
    for name in names:
        tensors |= _read_one(folder / name).tensors
    return Weights(folder, tensors)


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return Weights(path, tensors, dict(file.metadata() or {}))
    except Exception as error:  # the library's own, and whatever torch says of a type it lacks
        raise CheckpointError(_damaged(path, error)) from error


def _load_pickle(path: Path) -> object:
    """Tensors and plain containers of a torch file, memory-mapped where its format allows that."""
    try:
        with path.open("rb") as file:
            mapped = file.read(2) == b"PK" and path.suffix != ".safetensors"
            file.seek(0)  # torch would go by that ending, but only where it opens the file itself
            source = path if mapped else file
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever the bytes lead to, it is the file that is damaged
        said = str(error).partition(_UNPICKLER)[2] or str(error)
        if not isinstance(error, pickle.UnpicklingError) or not _BLOCKED.search(said):
            raise CheckpointError(_damaged(path, error)) from error
        raise CheckpointError(
            f"{quoted(path.name)}: this file holds Python objects besides tensors, and opening it could run code."
            " If you trust its source, convert it once to .safetensors with tools/convert_checkpoint.py"
        ) from error


def _damaged(path: Path, error: Exception) -> str:
    size = f"{path.stat().st_size:,} bytes; " if path.is_file() else ""
    return (
        f"{quoted(path.name)}: this is not a complete weight file ({size}{reason(error)}). {AGAIN}"
    )


def _flatten(tree: object, path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested dictionaries under its dotted key; other values are dropped.

    Raises:
        CheckpointError: nested deeper, or more tensors, than any checkpoint has.
    """
    waiting: list[tuple[str, object, int]] = [("", tree, 0)]
    found = 0
    while waiting:
        prefix, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            found += 1
            yield prefix[:-1], value
        elif isinstance(value, Mapping):
            inner = [(f"{prefix}{key}.", entry, depth + 1) for key, entry in value.items()]
            waiting += reversed(inner)
        if depth > DEPTH_MOST or found + len(waiting) > TENSORS_MOST:
            raise CheckpointError(_damaged(path, ValueError("it is nested without an end")))
