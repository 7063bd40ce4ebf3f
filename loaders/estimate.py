"""How much memory a run needs besides the weights: what the host is asked to keep free.

`python -m benchmarks.memory` compares these numbers with what runs of every family take.
"""

from collections.abc import Sequence
from typing import cast

from ..models.parts.cache import KVCache
from ..models.parts.causal import CausalNetwork
from ..models.parts.network import Cached, Transformer
from ..models.parts.sizes import Codec, SteppedConfig, TransformerConfig
from ..models.parts.text import NetworkCondition
from ..models.vq_diffusion.network import VQDiffusion

FP32 = 4  # bytes
# Copies of one image's logits, in single precision, that are held while its tokens are drawn: filtered ones, and a sort
# (values, 64-bit places), its probabilities and their sums; under guidance the guided ones, too.
DRAWING = 6
# Of a block, in channels of the residual stream: in single precision, and in the type of the matrix products.
ATTENDING = (3.25, 6)
FEEDING = (1, 1)
DIFFUSING = 2.5  # of logits, where a step's chances are made of them before a token is drawn (discrete diffusion)
HIDDEN = 2  # maps of the feed-forward's hidden width


def run_bytes(
    transformer: Transformer,
    tokenizer: Codec,
    rows: int,
    batch: int,
    conditions: Sequence[NetworkCondition] = (),
    widest: int = 1,
    last: int = 0,
    previews: bool = False,
    cache: type[KVCache] = KVCache,
) -> int:
    """Estimate of what a run needs besides weights: its largest step or, after it, the image decoder, whichever is more.

    Args:
        transformer, tokenizer: the networks, as they are for images of the size that is made.
        rows: branches x batch of the fullest step.
        batch: images.
        conditions: of the branches, for networks that read them before the first token.
        widest: most tokens that a pass of a token-wise model draws.
        last: branches x batch of the last step, which is the largest of scale-wise models; 0 = as many as of the fullest.
        previews: whether an image is decoded between steps.
        cache: how keys and values are kept.
    """
    config: TransformerConfig = transformer.config
    one = decode_bytes(tokenizer, config, 1)
    step = step_bytes(transformer, rows, batch, conditions, widest, last, cache)
    return max(step + previews * one, one * min(batch, decode_chunk(tokenizer, config)))


def step_bytes(
    transformer: Transformer,
    rows: int,
    batch: int,
    conditions: Sequence[NetworkCondition] = (),
    widest: int = 1,
    last: int = 0,
    cache: type[KVCache] = KVCache,
) -> int:
    """Of the largest step: what is kept from step to step, and a block's activations or the drawing of tokens, whichever is more."""
    config: TransformerConfig = transformer.config
    if isinstance(transformer, CausalNetwork):
        prefix, drawn, computed = transformer.prefix_length(conditions), widest, rows
        tokens = prefix + widest - 1
        kept = CausalNetwork.cache_bytes(transformer, rows, prefix, cache=cache)
    else:
        tokens = drawn = cast(SteppedConfig, config).step_tokens
        kept, computed = transformer.cache_bytes(rows, cache=cache), last or rows
    copies = DRAWING + (computed > batch) + DIFFUSING * isinstance(transformer, VQDiffusion)
    drawing = int(FP32 * drawn * config.vocab * (computed + copies * batch))
    return kept + max(drawing, computed * block_bytes(transformer, tokens))


def block_bytes(transformer: Transformer, tokens: int) -> int:
    """Activations of one row while a block computes so many tokens: its attention, or its feed-forward."""
    config, size = cast(TransformerConfig, transformer.config), transformer.compute_dtype.itemsize
    attending, feeding = (
        int(tokens * config.width * (wide * FP32 + narrow * size))
        for wide, narrow in (ATTENDING, FEEDING)
    )
    if isinstance(transformer, Cached):
        attending += transformer.last_bytes
    return max(attending, feeding + tokens * config.ffn * HIDDEN * size)


def decode_bytes(tokenizer: Codec, config: TransformerConfig, images: int = 0) -> int:
    """What the image decoder holds at most while it decodes so many images; 0 = as many as are decoded at once."""
    images = images or decode_chunk(tokenizer, config)
    return int(FP32 * tokenizer.config.held_per_pixel * pixels(tokenizer, config) * images)


def pixels(tokenizer: Codec, config: TransformerConfig) -> int:
    """Pixels of one image."""
    height, width = config.grid
    return height * width * tokenizer.config.factor**2


def decode_chunk(tokenizer: Codec, config: TransformerConfig) -> int:
    """How many images to decode at once: about one 512 x 512 image's worth of memory."""
    return max(1, 512 * 512 // pixels(tokenizer, config))
