"""How much memory a run needs besides the weights: what the host is asked to keep free."""

from collections.abc import Sequence
from typing import cast

from ..models.parts.causal import CausalNetwork
from ..models.parts.network import Transformer
from ..models.parts.sizes import Codec, SteppedConfig, TransformerConfig
from ..models.parts.text import NetworkCondition


def run_bytes(
    transformer: Transformer,
    tokenizer: Codec,
    rows: int,
    batch: int,
    conditions: Sequence[NetworkCondition] = (),
    widest: int = 1,
) -> int:
    """Estimate of what a run needs besides weights: cache, fp32 logits, activations, the decoder.

    Args:
        transformer, tokenizer: the networks, as they are for images of the size that is made.
        rows: branches x batch of the fullest step.
        batch: images.
        conditions: of the branches, for networks that read them before the first token.
        widest: most tokens that a pass of a token-wise model draws.
    """
    config: TransformerConfig = transformer.config
    if isinstance(transformer, CausalNetwork):
        prefix, drawn = transformer.prefix_length(conditions), widest
        tokens, cache = prefix + widest - 1, CausalNetwork.cache_bytes(transformer, rows, prefix)
    else:
        tokens = drawn = cast(SteppedConfig, config).step_tokens
        cache = transformer.cache_bytes(rows)
    logits = 4 * drawn * config.vocab * (rows + 6 * batch)  # raw, guided, and the filters' sorts
    activations = 4 * rows * tokens * (3 * config.width + config.ffn + 3 * config.width)
    return cache + logits + activations + decode_bytes(tokenizer, config)


def decode_bytes(tokenizer: Codec, config: TransformerConfig) -> int:
    """Peak of the image decoder for one chunk of images (see `decode_chunk`): at most six maps of the full
    size (the decoders of VAR, LlamaGen and VQ-Diffusion hold three)."""
    sizes = tokenizer.config
    channels = getattr(sizes, "full_channels", sizes.channels)
    return 6 * 4 * channels * pixels(tokenizer, config) * decode_chunk(tokenizer, config)


def pixels(tokenizer: Codec, config: TransformerConfig) -> int:
    """Pixels of one image."""
    height, width = config.grid
    return height * width * tokenizer.config.factor**2


def decode_chunk(tokenizer: Codec, config: TransformerConfig) -> int:
    """How many images to decode at once: about one 512 x 512 image's worth of memory."""
    return max(1, 512 * 512 // pixels(tokenizer, config))
