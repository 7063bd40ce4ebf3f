"""How a model family is described: one `Family` value per network file, walked by the loaders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class FileFacts:
    """What is known of one network's weights before memory is taken.

    Attributes:
        shapes: key -> shape.
        buffers: the small integer tensors of the file (level index and the like).
        metadata: text entries of a safetensors header.
    """

    shapes: Mapping[str, tuple[int, ...]]
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults:
    """Published sampling settings of a family; `scale` in ComfyUI's convention (1 = no guidance)."""

    scale: float
    schedule: str
    top_k: int
    top_p: float
    power: float = 1.0  # of a cosine schedule


@dataclass(frozen=True)
class Family:
    """One kind of network: how to recognise its weights and how to build it.

    Attributes:
        name: identifier, as in case files and metadata.
        title: for people.
        part: "transformer" or "tokenizer".
        required: keys (after unwrapping) that must all be there.
        config: facts of the file -> config dataclass; raises ValueError when they do not fit together.
        build: (config, operations=, dtype=, device=) -> network.
        banned: beginnings of keys of which none may be there.
        ignored: keys (regular expression) a file may hold and the network does not need.
        absent: keys (regular expression) the network computes itself and a file may lack.
        kind: "scale" or "token" (transformers).
        conditioning: "class" or "text" (transformers).
        tokenizer: name of the tokenizer family that decodes its tokens (transformers).
        tokenizer_file: what the tokenizer's released file is called (transformers).
        free_size: the file does not say how large its pictures are, so the user may (transformers); the config has a `grid`.
        defaults: published sampling settings, or a function of the config when sizes differ (transformers).
    """

    name: str
    title: str
    part: str
    required: tuple[str, ...]
    config: Callable[[FileFacts], Any]
    build: Callable[..., Any]
    banned: tuple[str, ...] = ()
    ignored: str = r"(?!)"
    absent: str = r"(?!)"
    kind: str = ""
    conditioning: str = ""
    tokenizer: str = ""
    tokenizer_file: str = ""
    free_size: bool = False
    defaults: Defaults | Callable[[Any], Defaults] | None = None
