"""Lumina-mGPT 2 (github.com/Alpha-VLLM/Lumina-mGPT-2.0): text and image tokens of one vocabulary, in Chameleon's layout.

Letters as in `parts/causal.py`; m groups of heads with a norm of their own. An image of h x w tokens is written as: start of
image, token of its height, token of its width, then h lines of w tokens and a line end. The network itself puts the line ends
into the sequence, so a run has h w steps and draws image tokens only.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from .family import Defaults, FileFacts, PromptSpec, TransformerFamily
from .lumina2_config import CELL, LuminaConfig
from .parts.cast import cast_like
from .parts.causal import places
from .parts.grid import Grid
from .parts.language import Attention, LanguageNetwork
from .parts.operations import Operations, Place
from .parts.prompt import Prompt
from .parts.settings import decimal, whole, whole_list

LARGEST = 24  # cells per side of the largest square image of the release: 768 pixels
RATIO = 4  # longest side of an image by its shortest
TWO_PANELS = 1024, 512  # (height, width) of the release's images of two panels
START, SEPARATOR, LINE_END = "<racm3:break>", "<reserved08706>", "<reserved08799>"
IMAGE_TOKENS, RELEASED_WORDS, RELEASED_IMAGE_TOKENS = "<MOVQGAN", 171385, (155000, 16384)


class HeadNorm(nn.Module):
    """LayerNorm over every head, weight and bias (m, d) each for heads/m neighbouring heads; fp32."""

    def __init__(self, config: LuminaConfig, **place: Unpack[Place]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.norms, config.head_width, **place))
        self.bias = nn.Parameter(torch.empty(config.norms, config.head_width, **place))

    def forward(self, x: Tensor) -> Tensor:
        """x (rows, H, T, d); eps is 1e-5 whatever the other norms have."""
        x = F.layer_norm(x.float(), x.shape[-1:], eps=1e-5).unflatten(1, (len(self.weight), -1))
        weight, bias = (cast_like(p, x)[:, None, None] for p in (self.weight, self.bias))
        return (x * weight + bias).flatten(1, 2)


class NormedAttention(Attention):
    """Attention whose queries and keys are normalised before they are rotated."""

    def __init__(self, config: LuminaConfig, ops: Operations, **place: Unpack[Place]) -> None:
        super().__init__(config, ops, **place)
        self.q_norm = HeadNorm(config, **place)
        self.k_norm = HeadNorm(config, **place)

    def normed(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return self.q_norm(q), self.k_norm(k)


class Lumina(LanguageNetwork[LuminaConfig]):
    """The transformer. Conditions: a `Prompt` that ends with the image's head; tokens: image tokens, from 0."""

    config: LuminaConfig  # pyright: ignore[reportIncompatibleVariableOverride]  # a narrower one

    attention: ClassVar[type[Attention]] = NormedAttention

    @property
    def words(self) -> int:
        return self.config.words

    def null_condition(self, batch: int) -> Prompt:
        """The unconditional branch's condition: the head alone."""
        return Prompt.of([self.config.head] * batch)

    @property
    def line(self) -> int:
        return self.config.grid[1]

    def line_ends(self, tokens: Tensor) -> Tensor:
        return self.model.embed_tokens(torch.full_like(tokens[:, :1], self.config.line_end))

    def embed(self, tokens: Tensor) -> Tensor:
        return self.model.embed_tokens(tokens + self.config.first)


# --- the release ------------------------------------------------------------------------------------------------------


def frames(config: LuminaConfig) -> tuple[Grid, ...]:
    """(h, w) in tokens of every image the network can be asked for: its own, and all of at most the trained area."""
    sides = range(1, len(config.sizes) + 1)
    cells = [(h, w) for h in sides for w in sides if _shaped(h, w) and h * w <= LARGEST**2]
    grids = [(CELL * h, CELL * w) for h, w in cells]
    return (config.grid, *(grid for grid in grids if _fits(grid, config.context)))


def at(config: LuminaConfig, frame: Grid) -> LuminaConfig:
    """The config for images of these tokens."""
    return replace(config, grid=frame)


def _shaped(height: int, width: int) -> bool:
    return max(height, width) <= RATIO * min(height, width)


def _fits(grid: Grid, context: int) -> bool:
    return places(grid[0] * grid[1], grid[1]) + 4 <= context  # start, height, width, end


def trained_sizes(largest: int = LARGEST) -> tuple[tuple[int, int], ...]:
    """(height, width) in pixels of the training images: for every width the heights that just fill the area, and between."""
    height, width, found = 1, largest**2, []
    while width:
        if _shaped(height, width):
            found.append((height, width))
        height, width = (
            (height + 1, width) if (height + 1) * width <= largest**2 else (height, width - 1)
        )
    return tuple((32 * h, 32 * w) for h, w in found)


def prompt_text(config: LuminaConfig, prompt: str) -> str:
    """The request as the network was trained on it; the width comes first here, and the height in the head."""
    height, width = (32 // CELL * side for side in config.grid)
    return f"Generate an image of {width}x{height} according to the following prompt:\n{prompt}{SEPARATOR}"


# Of an image of two panels, the upper one given. In the first kind the lower one is the picture that belongs to it.
FROM_PANEL = (
    "where the <upper half> displays a <{}>, while the <lower half> retains the original image"
)
TO_PANEL = (
    "where the <lower half> displays a <{}>, while the <upper half> retains the original image"
)
TASKS = {
    "depth map to image": (FROM_PANEL, "depth map"),
    "canny edges to image": (FROM_PANEL, "canny edge map"),
    "subject": (FROM_PANEL, "Bubbly and effervescent with a sparkling allure."),
    "edit in own words": (FROM_PANEL, ""),
    "image to depth map": (TO_PANEL, "depth map"),
    "image to canny edges": (TO_PANEL, "canny edge map"),
    "image to hed edges": (TO_PANEL, "hed edge map"),
    "image to pose": (TO_PANEL, "pose estimation map"),
}


def panel_text(config: LuminaConfig, sentence: str, prompt: str) -> str:
    """The request for an image of two panels; its height is that of both."""
    height, width = (32 // CELL * side for side in config.grid)
    if config.grid[0] % (2 * CELL):
        raise ValueError(
            f"an image of {width}x{height} pixels does not divide into two panels: each must be a multiple of 32 pixels"
            " high. Choose another size on AR Sampler, for example 512x1024"
        )
    return f"Generate a dual-panel image of {width}x{height} {sentence} for direct visual comparison:\n{prompt}{SEPARATOR}"


def special_tokens(config: LuminaConfig) -> Mapping[str, int]:
    """Tokens that tell this vocabulary from others."""
    named = {START: config.start, SEPARATOR: config.separator, LINE_END: config.line_end}
    return named | {
        _size_token(side // CELL): config.sizes[side // CELL - 1] for side in config.grid
    }


def _size_token(cells: int) -> str:
    return f"<reserved{8800 + cells:05d}>"


def image_tokens(vocabulary: Mapping[str, int], words: int) -> tuple[int, int]:
    """Id of the first image token and how many there are.

    Raises:
        ValueError: there are none, or they are not in one piece.
    """
    ids = [id for name, id in vocabulary.items() if name.startswith(IMAGE_TOKENS)]
    if not ids and words == RELEASED_WORDS:
        return RELEASED_IMAGE_TOKENS
    if not ids:
        raise ValueError(
            "no image tokens in its vocabulary (config.json with vocabulary_map, or tokenizer.json, beside the weights)."
            " Chameleon and Lumina-mGPT 1 look like this model, but are not"
        )
    if max(ids) - min(ids) + 1 != len(ids) or max(ids) >= words:
        raise ValueError(
            f"its {len(ids)} image tokens are numbered {min(ids)} to {max(ids)}, which does not fit a network with"
            f" {words} tokens: the vocabulary beside the weights belongs to another model"
        )
    return min(ids), len(ids)


def config_from_file(facts: FileFacts) -> LuminaConfig:
    """Sizes from shapes, constants from config.json, ids from the vocabulary beside the weights."""
    shapes, vocabulary = facts.shapes, facts.vocabulary
    words, width = shapes["model.embed_tokens.weight"]
    depth = len({key.split(".")[2] for key in shapes if key.startswith("model.layers.")})
    settings = facts.own_settings(
        {"hidden_size": width, "num_hidden_layers": depth}, ("swin_norm", "latent_grid")
    )
    if settings.get("swin_norm") or settings.get("rope_scaling"):
        raise ValueError("it has swin_norm or rope_scaling, which no release has")
    first, count = image_tokens(vocabulary, words)
    for name in (START, SEPARATOR, LINE_END, _size_token(1)):
        if name not in vocabulary:
            raise ValueError(
                f"{name} is not in its vocabulary: config.json or tokenizer.json is missing beside the weights, or"
                " belongs to another model"
            )
    sizes = []
    while (name := _size_token(len(sizes) + 1)) in vocabulary:
        sizes.append(vocabulary[name])
    attention = "model.layers.0.self_attn."
    norms, head_width = shapes[f"{attention}q_norm.weight"]
    context = whole(settings, "max_position_embeddings", 10240)
    grid = whole_list(settings, "latent_grid", 2, 1024)  # our own files'
    return LuminaConfig(
        depth=depth,
        width=width,
        heads=shapes[f"{attention}q_proj.weight"][0] // head_width,
        kv_heads=shapes[f"{attention}k_proj.weight"][0] // head_width,
        head_width=head_width,
        ffn=shapes["model.layers.0.mlp.gate_proj.weight"][0],
        words=words,
        first=first,
        vocab=count,
        start=vocabulary[START],
        separator=vocabulary[SEPARATOR],
        line_end=vocabulary[LINE_END],
        sizes=tuple(sizes),
        grid=(grid[0], grid[1]) if len(grid) == 2 else largest_square(len(sizes), context),
        norms=norms,
        context=context,
        rope_base=decimal(settings, "rope_theta", 10000.0),
        eps=decimal(settings, "rms_norm_eps", 1e-5, 0, 1),
    )


def largest_square(cells: int, context: int) -> Grid:
    """The released size, or the largest square that the size tokens and the context allow."""
    sides = [CELL * n for n in range(min(LARGEST, cells), 0, -1)]
    side = next((side for side in sides if _fits((side, side), context)), CELL)
    return side, side


def drawn_rows(config: LuminaConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The output matrix cut down to the image tokens: nothing else may be drawn, and a tenth of it is all there is to read."""
    head = tensors["lm_head.weight"][config.first : config.first + config.vocab]
    return tensors | {"lm_head.weight": head}


FAMILY = TransformerFamily(
    name="lumina_mgpt2",
    title="Lumina-mGPT 2",
    required=(
        "model.layers.0.self_attn.q_norm.bias",
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "lm_head.weight",
    ),
    config=config_from_file,
    build=Lumina,
    ignored=r"model\.vqmodel\..*|.*rotary_emb\.inv_freq",
    kind="token",
    conditioning="prompt",
    prompt=PromptSpec(
        text=prompt_text,
        words=lambda config: config.words,
        room=lambda config: config.room,
        head=lambda config: config.head,
        special=special_tokens,
        leads=True,
        panels=panel_text,
        tasks=TASKS,
    ),
    tokenizer="movq",
    tokenizer_file="movqgan_270M.ckpt",
    free_size=True,
    sizes=(*trained_sizes(), TWO_PANELS),
    frames=frames,
    at=at,
    trim=drawn_rows,
    dtypes=(torch.bfloat16, torch.float32),  # trained in bfloat16, whose range half precision lacks
    defaults=Defaults(scale=4.0, schedule="cumulative decay", top_k=4096, top_p=1.0),
)
