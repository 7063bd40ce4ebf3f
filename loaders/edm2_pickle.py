"""EDM2's release files: one plain pickle of "persistent objects", read without running anything.

Unpickled the ordinary way, such a file compiles and runs the program text stored in it. Here the text is dropped unread:
a persistent object becomes its class name and its state, and the tensors are gathered from the states of the modules.
Every tensor is a stream of its own inside a byte string, in torch's format from before its zip archives.
"""

import json
import mmap
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .opcodes import Damaged, Instance, Name, Refused, read_pickle

NETWORK = "Precond"
MODULES = {NETWORK, "UNet", "Block", "MPConv", "MPFourier"}
MAGIC = 0x1950A86A20F9469CFC6C  # of torch's old format
VERSION = 1001
DEPTH, DIMENSIONS = 12, 8
DTYPES = {
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
}


@dataclass(frozen=True)
class Persistent:
    """An object of the release's own classes: what is left of it without its program."""

    class_name: str
    state: Mapping[str, object]


@dataclass(frozen=True)
class Network:
    """What a release file holds.

    Attributes:
        tensors: the network's, by dotted name.
        arguments: its constructor's.
        encoder: class of the encoder: "StabilityVAEEncoder" (latents) or "StandardRGBEncoder" (pixels); "" = none.
    """

    tensors: dict[str, Tensor]
    arguments: dict[str, object]
    encoder: str

    def described(self) -> str:
        """Arguments and encoder as JSON, for a file's metadata."""
        return json.dumps({**self.arguments, **({"encoder": self.encoder} if self.encoder else {})})


def read_network(path: Path) -> Network:
    """The network of a release file; its tensors are views of the file, which is mapped and not copied.

    Raises:
        Refused: it asks for a name that is not on the list, or holds another kind of object.
        Damaged: it is cut short, or no pickle.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise Damaged("it is empty")
        # A private copy on write: torch wants memory it may write to, and the file stays as it is.
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    if mapped[:1] != b"\x80":
        raise Damaged("it does not begin like one")
    content, _ = read_pickle(mapped, NAMES)
    held = content if isinstance(content, dict) else {}
    network = held.get("ema")
    if not isinstance(network, Persistent) or network.class_name != NETWORK:
        raise Refused(f"not an EDM2 network: 'ema' is {_kind(network)}")
    encoder = held.get("encoder")
    return Network(
        dict(_tensors(network, "")),
        _plain(network.state.get("_init_kwargs")),
        encoder.class_name if isinstance(encoder, Persistent) else "",
    )


def _kind(value: object) -> str:
    return f"a {value.class_name}" if isinstance(value, Persistent) else "missing"


def _tensors(module: object, prefix: str, depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a module and of those inside it."""
    if isinstance(module, Persistent) and module.class_name not in MODULES:
        raise Refused(f"a module of the class {module.class_name}")
    state = module.state if isinstance(module, (Persistent, Instance)) else None
    if not isinstance(state, Mapping) or depth > DEPTH:
        raise Refused(f"{prefix[:-1] or 'the network'} is not a module")
    for group in ("_parameters", "_buffers"):
        for name, tensor in _entries(state, group).items():
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor
            elif tensor is not None:
                raise Damaged(f"{prefix}{name} is not a tensor")
    for name, inner in _entries(state, "_modules").items():
        if inner is not None:
            yield from _tensors(inner, f"{prefix}{name}.", depth + 1)


def _entries(state: Mapping[str, object], group: str) -> Mapping[str, object]:
    found = state.get(group, {})
    if not isinstance(found, Mapping):
        raise Damaged(f"{group} is not a dictionary")
    return found


def _plain(arguments: object) -> dict[str, object]:
    """Arguments that are numbers, texts, or lists of them."""
    simple = (str, int, float, type(None))

    def fits(value: object) -> bool:
        if isinstance(value, (list, tuple)):
            return len(value) < 64 and all(isinstance(entry, simple) for entry in value)
        return isinstance(value, simple)

    found = arguments if isinstance(arguments, Mapping) else {}
    return {str(name): value for name, value in found.items() if fits(value)}


# What stands in for the names of a release file.


def _persistent(meta: Mapping[str, object]) -> Persistent:
    """`torch_utils.persistence._reconstruct_persistent_obj`, without the program."""
    name, state = meta["class_name"], meta["state"]
    if meta["type"] != "class" or not isinstance(name, str) or not isinstance(state, Mapping):
        raise Damaged("a persistent object is not described as one")
    return Persistent(name[:64], state)


def _storage(data: memoryview) -> Tensor:
    """`torch.storage._load_from_bytes`: the numbers of one storage, (N,)."""
    if not isinstance(data, memoryview):
        raise Damaged("a storage is not a byte string")
    values, place = [], 0
    for _ in range(5):
        value, length = read_pickle(data[place:], STORAGES, partial(_persistent_id))
        values.append(value)
        place += length
    magic, version, system, (kind, count), keys = values
    if magic != MAGIC or version != VERSION or not isinstance(keys, list) or len(keys) != 1:
        raise Damaged("a storage is not in torch's old format")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Refused("numbers of a big-endian machine")
    dtype = DTYPES[kind]
    body = data[place + 8 :]
    if data[place : place + 8] != struct.pack("<q", count) or len(body) != count * dtype.itemsize:
        raise Damaged(f"a storage of {count:,} numbers has {len(body):,} bytes")
    return _numbers(body, dtype)


def _numbers(body: memoryview, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers, without a copy."""
    if not len(body):
        return torch.empty(0, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an in-memory file may be read-only, and is only read
        return torch.frombuffer(body, dtype=dtype)


def _persistent_id(entry: object) -> tuple[str, int]:
    """('storage', its class, key, device, numbers, view) -> class and numbers."""
    word, kind, _, _, count, *view = entry if isinstance(entry, tuple) else ("",) * 5
    if word != "storage" or not isinstance(kind, Name) or view not in ([], [None]):
        raise Damaged("a storage is not described as one")
    if not isinstance(count, int) or count < 0:
        raise Damaged("a storage has no length")
    return kind.path, count


def _tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *rest: object) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`: a view of a storage, inside its bounds."""
    numbers = (offset, *size, *stride)
    if not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in numbers):
        raise Damaged("a tensor's shape is not made of numbers")
    if len(size) != len(stride) or len(size) > DIMENSIONS or not isinstance(storage, Tensor):
        raise Damaged("a tensor's shape does not fit its storage")
    count = 1
    for length in size:
        count *= length
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count > storage.numel() or (count and last >= storage.numel()):
        raise Damaged("a tensor is larger than its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(tensor: Tensor, *rest: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise Damaged("a parameter is not a tensor")
    return tensor


def _ordered(*pairs: Iterable[tuple[object, object]]) -> dict[str, object]:
    """`collections.OrderedDict`, empty or of a list of pairs with plain names."""
    if not pairs:
        return {}
    (entries,) = pairs
    return {str(name): value for name, value in entries}


def _names(*entries: Name) -> dict[str, Name]:
    return {entry.path: entry for entry in entries}


def _array(*arguments: object) -> Instance:
    """A numpy array: the encoder's scale and bias, which follow from its class."""
    return Instance("numpy array")


def _set(*arguments: object) -> set[str]:
    """A set of names; nothing here reads any."""
    return set()


NAMES = _names(
    Name("torch_utils.persistence._reconstruct_persistent_obj", call=_persistent),
    Name("dnnlib.util.EasyDict", new=dict),
    Name("collections.OrderedDict", call=_ordered, new=dict),
    Name("torch._utils._rebuild_parameter", call=_parameter),
    Name("torch._utils._rebuild_tensor_v2", call=_tensor),
    Name("torch.storage._load_from_bytes", call=_storage),
    Name("torch.nn.modules.container.ModuleDict", new=partial(Instance, "ModuleDict")),
    Name("numpy.core.multiarray._reconstruct", call=_array),
    Name("numpy._core.multiarray._reconstruct", call=_array),
    Name("numpy.ndarray"),
    Name("numpy.dtype", call=_array),
    Name("builtins.set", call=_set),
)
STORAGES = _names(*(Name(path) for path in DTYPES))
