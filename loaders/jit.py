"""Weights out of a TorchScript archive. Its program is never compiled nor run, and no class it names is ever looked up.

A `.jit` file is a zip archive: `data.pkl` describes the module tree, `data/<n>` hold the storages, `code/` the program. Only the
first two are read. Of what `data.pkl` may name, modules become inert boxes, tensors views of their bytes, and all else is refused.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# What reading a description that is not one may end in; too deep a tree is a RuntimeError.
_UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
)


class _Box:
    """Stands for any module of the program: keeps its attributes, does nothing."""

    def __init__(self, *ignored: object) -> None:
        self.content: object = None

    def __setstate__(self, state: object) -> None:
        self.content = state


def _nothing(*ignored: object) -> None:
    """Stands for the helpers that mark lists and dictionaries of a program's settings."""


def archive_tensors(path: Path) -> dict[str, Tensor]:
    """Every parameter and buffer of a TorchScript archive under its dotted name.

    Raises:
        ValueError: not such an archive, damaged, or one whose data names more than modules and tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_flatten(_Reader(archive, _root(archive)).load(), ""))
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is not a TorchScript archive: {error}") from error
    except _UNREADABLE as error:
        raise ValueError(f"its list of tensors cannot be read: {error}") from error


def _root(archive: zipfile.ZipFile) -> str:
    """The folder inside the archive that everything lies in."""
    names = archive.namelist()
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1 or not any(name.startswith(f"{roots[0]}code/") for name in names):
        raise ValueError("it is not a TorchScript archive: there is no program with its data in it")
    order = f"{roots[0]}byteorder"
    if order in names and archive.read(order) != b"little":
        raise ValueError("its numbers are stored in another byte order")
    return roots[0]


class _Reader(pickle.Unpickler):
    """Reads `data.pkl`; whatever it may call is defined in this file."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive, self.root = archive, root
        self.storages: dict[str, Tensor] = {}
        super().__init__(io.BytesIO(self._bytes("data.pkl")))

    def _bytes(self, name: str) -> bytes:
        entry = self.archive.getinfo(self.root + name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} in it is compressed, which TorchScript never does")
        return self.archive.read(entry)

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """What a name stands for: never anything that exists outside of this file."""
        if module.split(".")[0] == "__torch__":
            return _Box
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":
            return _nothing
        if module == "torch" and name in DTYPES:
            return _Kind(DTYPES[name])
        raise ValueError(f"it names {module}.{name}, which is neither a module nor a tensor")

    def persistent_load(self, pid: tuple[str, "_Kind", object, object, object]) -> Tensor:
        """One storage: ("storage", kind, number, device, elements)."""
        kind, number = pid[1], str(pid[2])
        if number not in self.storages:
            content = bytearray(self._bytes(f"data/{number}"))
            empty = torch.empty(0, dtype=kind.dtype)
            self.storages[number] = (
                torch.frombuffer(content, dtype=kind.dtype) if content else empty
            )
        return self.storages[number]


class _Kind:
    """A type of storage."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, *ignored: object) -> None:
        """Never needed: kinds are only named."""


def _tensor(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *ignored: object
) -> Tensor:
    """A view of a storage; RuntimeError where it would reach beyond."""
    if math.prod(size) > storage.numel():
        raise ValueError(f"a tensor of shape {tuple(size)} is larger than its storage")
    return storage.as_strided(size, stride, offset)


def _flatten(tree: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    attributes = tree.content if isinstance(tree, _Box) else None
    if not isinstance(attributes, dict):
        return
    for name, value in attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from _flatten(value, f"{prefix}{name}.")
