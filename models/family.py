"""How a model family is described: one `Family` value per network file, walked by the loaders."""

import copy
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from .parts.grid import Grid
from .parts.network import Network
from .parts.settings import Json
from .parts.sizes import CodecConfig, TransformerConfig
from .parts.text import NetworkCondition, TextCondition, with_tokens
from .text.encoders import TextEncoder

PartName = Literal["transformer", "tokenizer", "diffusion"]
Kind = Literal["scale", "token", "discrete"]
Conditioning = Literal["class", "text", "prompt"]
Null = Literal["model", "prompt"]


C = TypeVar("C")
T = TypeVar("T", bound=TransformerConfig)
K = TypeVar("K", bound=CodecConfig)
N = TypeVar("N", bound=Network)


@dataclass(frozen=True)
class FileFacts:
    """What is known of one network's weights before memory is taken.

    Attributes:
        shapes: key -> shape.
        buffers: the small integer tensors of the file (level index and the like).
        metadata: text entries of a safetensors header.
        settings: entries of the config.json beside the file, for what leaves no trace in the weights; it may be any
            model's, see `own_settings`.
        samples: single elements of large buffers, by key (see `Family.samples`).
        vocabulary: text token -> id, for families that read text themselves (see `Family.prompt`).
        generation: entries of the generation_config.json beside the file.
        code_lists: beside a tokenizer's file, lists with the number every code has for a transformer that knows a part of
            them (VQ-Diffusion's `taming_vqvae_*.pt`).
    """

    shapes: Mapping[str, tuple[int, ...]]
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)
    samples: Mapping[str, float] = field(default_factory=dict)
    vocabulary: Mapping[str, int] = field(default_factory=dict)
    generation: Mapping[str, Json] = field(default_factory=dict)
    code_lists: tuple[tuple[int, ...], ...] = ()

    def own_settings(
        self, sizes: Mapping[str, object], marks: Collection[str] = (), kind: str = ""
    ) -> Mapping[str, Json]:
        """The settings if they are recognisably this network's, else {}: many models may lie in one folder.

        They are if they hold one of `sizes` or `marks`, and nothing contradicts.

        Args:
            sizes: entry -> its value for this network; another value contradicts.
            marks: entries that other models' settings do not have.
            kind: what `model_type` must contain where there is one; "" = anything.
        """
        known = [name for name in (*sizes, *marks) if name in self.settings]
        other = any(self.settings[n] != value for n, value in sizes.items() if n in self.settings)
        foreign = kind not in str(self.settings.get("model_type", kind))
        return {} if other or foreign or not known else self.settings


@dataclass(frozen=True)
class PromptSpec(Generic[C]):
    """How a family that reads text itself is told what to draw: a text, its ids by the family's tokenizer, then a head.

    Attributes:
        text: (config, prompt) -> what the tokenizer reads for the conditional branch.
        words: config -> how many ids the text vocabulary has; larger ones are not text of this network.
        room: config -> how many positions text and head may take together.
        head: config -> ids that follow the text, in both branches.
        special: config -> tokens the tokenizer must know, with the ids they have in this network.
        negative: the published negative prompt; None = the unconditional branch has no text, only the head.
        negative_text: (config, negative prompt) -> what the tokenizer reads for the unconditional branch; None = as `text`.
        leads: the text begins with the id that the tokenizer's settings name as the first (bos, or eos where there is none).
        panels: (config, sentence, prompt) -> what the tokenizer reads for an image of two panels, of which the upper one is
            given; None = the family makes none. The sentence is one of `tasks`, with what a panel shows in place of `{}`.
        tasks: name of a task -> (sentence, what the panel shows; "" = the user says it).
    """

    text: Callable[[C, str], str]
    words: Callable[[C], int]
    room: Callable[[C], int]
    head: Callable[[C], tuple[int, ...]] = lambda config: ()
    special: Callable[[C], Mapping[str, int]] = lambda config: {}
    negative: str | None = None
    negative_text: Callable[[C, str], str] | None = None
    leads: bool = False
    panels: Callable[[C, str, str], str] | None = None
    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults:
    """Published sampling settings of a family.

    Attributes:
        scale: of classifier-free guidance in ComfyUI's convention (1 = no guidance).
        schedule: name of its schedule.
        top_k, top_p: filters; 0 = off.
        temperature: logits are divided by it.
        end: share of the run after which guidance is off.
        late_top_k, late_temperature: (step, value) from which on another value holds, or None.
        smooth: whether the authors' scripts mix code vectors instead of taking the drawn token's (more_smooth).
        smooth_steps: (first, one past the last) step at which they may be mixed; None = all.
        smooth_filtered: whether only the tokens that the filters keep are mixed.
    """

    scale: float
    schedule: str
    top_k: int
    top_p: float
    power: float = 1.0
    temperature: float = 1.0
    end: float = 1.0
    late_top_k: tuple[int, int] | None = None
    late_temperature: tuple[int, float] | None = None
    smooth: bool = False
    smooth_steps: tuple[int, int] | None = None
    smooth_filtered: bool = True


def same_codes(transformer: object, tokenizer: K) -> K:
    """The tokenizer's config as it is, if its tokens are those the transformer predicts.

    Raises:
        ValueError: what differs.
    """
    for what, attribute in (
        ("tokens in the codebook", "vocab"),
        ("channels per code", "dim"),
        ("tokens per image", "length"),
    ):
        ours, theirs = getattr(transformer, attribute, None), getattr(tokenizer, attribute, None)
        if None not in (ours, theirs) and ours != theirs:
            raise ValueError(f"the transformer expects {ours} {what}, the tokenizer has {theirs}")
    return tokenizer


@dataclass(frozen=True)
class TextSpec(Generic[C]):
    """What a family reads of a prompt that a text encoder has read before it.

    Attributes:
        encoder: the one it was trained with.
        width: config -> channels of a feature row.
        tokens: config -> most rows of a prompt.
        fixed: there must be exactly that many rows, padding included.
        masked: which rows are padding must be known; otherwise all count as text where nothing is said.
        pooled: config -> channels of the one vector per prompt beside the rows; 0 = none is read.
        condition: (config, text) -> a branch's condition as the network takes it; raises ValueError.
    """

    encoder: TextEncoder
    width: Callable[[C], int]
    tokens: Callable[[C], int]
    fixed: bool = False
    masked: bool = False
    pooled: Callable[[C], int] = lambda config: 0
    condition: Callable[[C, TextCondition], NetworkCondition] = with_tokens


@dataclass(frozen=True, kw_only=True)
class Family(Generic[C]):
    """One kind of network: how to recognise its weights and how to build it.

    Attributes:
        name: identifier, as in case files and metadata.
        title: for people.
        part: which part of a model it is.
        required: keys (after unwrapping) that must all be there.
        config: facts of the file -> config dataclass; raises ValueError when they do not fit together.
        build: (config, operations=, dtype=, device=) -> network.
        banned: beginnings of keys of which none may be there.
        ignored: keys (regular expression) a file may hold and the network does not need.
        absent: keys (regular expression) the network computes itself and a file may lack.
        dtypes: types its weights may be stored and multiplied in, preferred first; the residual stream is fp32.
        convert: (key, tensor) of a variant of the layout -> those of the layout the network has.
        trim: (config, tensors) -> those the network takes, where it needs a part of them only.
        samples: (key, index) of single elements the config needs of buffers too large to hand over.
        averaged: of a file with plain and averaged (EMA) weights, the authors' own sampler takes the averaged ones.
        prepare: (key, all tensors) -> that tensor as the network takes it, where files hold it in another form.
    """

    name: str
    title: str
    part: PartName
    required: tuple[str, ...]
    config: Callable[[FileFacts], C]
    build: Callable[..., nn.Module]
    banned: tuple[str, ...] = ()
    ignored: str = r"(?!)"
    absent: str = r"(?!)"
    dtypes: tuple[torch.dtype, ...] = (torch.float16, torch.bfloat16, torch.float32)
    convert: Callable[[str, Tensor], tuple[str, Tensor]] = lambda key, tensor: (key, tensor)
    trim: Callable[[C, dict[str, Tensor]], dict[str, Tensor]] = lambda config, tensors: tensors
    samples: tuple[tuple[str, tuple[int, ...]], ...] = ()
    averaged: bool = False
    prepare: Callable[[str, Mapping[str, Tensor]], Tensor] = lambda key, tensors: tensors[key]


@dataclass(frozen=True, kw_only=True)
class TokenizerFamily(Family[K]):
    """A network between images and tokens."""

    part: PartName = field(default="tokenizer", init=False)


@dataclass(frozen=True, kw_only=True)
class DiffusionFamily(Family[C]):
    """A network that takes noise from an image."""

    part: PartName = field(default="diffusion", init=False)


@dataclass(frozen=True, kw_only=True)
class TransformerFamily(Family[T]):
    """A network that predicts tokens: what it is told, which images it makes, how it was published.

    Attributes:
        kind: "scale", "token" or "discrete" (discrete diffusion).
        conditioning: "class", "text" (features of a text encoder) or "prompt" (reads text itself).
        text: what it reads of an encoded prompt, for conditioning "text".
        prompt: how text is read, for conditioning "prompt".
        null: where the unconditional branch's condition comes from: "model" (the network's `null_condition`) or "prompt"
            (an encoded empty or negative prompt).
        tokenizer: name of the tokenizer family that decodes its tokens.
        tokenizer_file: what the tokenizer's released file is called.
        free_size: the file does not say how large its images are, so the user may; the config has a `grid` to set.
        sizes: (height, width) in pixels its releases make, for the list a user chooses from.
        frames: config -> (h, w) in tokens of every image the network can make, its own first.
        at: (config, one of its frames) -> the config for images of that size.
        causal: config -> whether a cache carries a branch's past from step to step.
        mixable: config -> blocks at whose output branches may be mixed, 0 = none.
        bitwise: a token is a row of bits, not one of the codes of a codebook.
        residual: after its last step the network draws what the codes leave out, a continuous map.
        smoothable: its steps can mix code vectors instead of drawing one.
        defaults: published sampling settings, or a function of the config that gives them.
        fit: (config, config of a tokenizer of the right family) -> the tokenizer's config for this transformer; raises
            ValueError saying what does not fit.
    """

    part: PartName = field(default="transformer", init=False)
    kind: Kind
    conditioning: Conditioning
    tokenizer: str
    text: TextSpec[T] | None = None
    prompt: PromptSpec[T] | None = None
    null: Null = "model"
    tokenizer_file: str = ""
    free_size: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    frames: Callable[[T], tuple[Grid, ...]] = lambda config: (config.grid,)
    at: Callable[[T, Grid], T] = lambda config, frame: config
    causal: Callable[[T], bool] = lambda config: True
    mixable: Callable[[T], int] = lambda config: 0
    bitwise: bool = False
    residual: bool = False
    smoothable: bool = False
    defaults: Defaults | Callable[[T], Defaults]
    fit: Callable[[T, Any], CodecConfig] = same_codes

    def defaults_for(self, config: T) -> Defaults:
        """The published settings for a network of these sizes."""
        return self.defaults(config) if callable(self.defaults) else self.defaults

    def sized(self, config: T, height: int, width: int, factor: int) -> T:
        """The config for images of this size in pixels; `factor`: pixels per side of a token.

        Raises:
            ValueError: the network makes no such images; the message names the nearest it makes.
        """
        frames = {(h * factor, w * factor): (h, w) for h, w in self.frames(config)}
        if (height, width) in frames:
            return self.at(config, frames[height, width])
        nearest = sorted(frames, key=lambda size: _unlike(size, (height, width)))
        names = ", ".join(f"{w}x{h}" for h, w in nearest[:3])
        raise ValueError(
            f"this {self.title} model makes no images of {width}x{height} pixels; nearest: {names}"
        )


def class_count(config: object) -> int:
    """How many classes a network knows; 0 = it is not told a class."""
    return getattr(config, "classes", 0)


def _unlike(size: Grid, wanted: Grid) -> tuple[float, float]:
    """How far a (height, width) is from another: in shape, and, among equal shapes, in area."""
    shapes, areas = zip(*((h / w, h * w) for h, w in (size, wanted)), strict=True)
    return round(abs(math.log(shapes[0] / shapes[1])), 6), abs(math.log(areas[0] / areas[1]))


def view(network: N, config: object) -> N:
    """The same network, weights shared, as it runs under another config; the network itself is left as it is."""
    if config == network.config:
        return network
    other = copy.copy(network)
    other.config = config
    return other
