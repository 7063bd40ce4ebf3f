"""Text encoders the host cannot load as they were released, as ComfyUI's own `CLIP`: its nodes encode with them, its
memory management moves them."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.model_management as mm
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import torch
from torch import Tensor, nn

from ...models.parts.operations import Place
from ...models.text.clip import ClipText, at_end, unit_rows
from ...models.text.encoders import CLIP_PAIR, CLIP_ROWS, CLIP_VECTOR, FLAN_T5, MARK, QWEN2
from ..read import INSTRUCTION, TOKENIZER, CheckpointError
from .captions import clean_caption
from .files import EncoderFile, find_encoder
from .tokenizers import (
    KEY,
    READINGS,
    PromptTokenizer,
    TextTokenizer,
    Weighted,
    as_released,
    read_instruction,
    read_tokenizer,
)

PRECISIONS = {
    "automatic": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Read:
    """What an encoder makes of ids (rows, n): features (rows, m, E), which rows are text (rows, m), pooled (rows, P)."""

    features: Tensor
    live: Tensor
    pooled: Tensor | None = None


class PromptEncoder(nn.Module):
    """What the host's CLIP object drives: ids and weights in, features, pooled vector and mask out.

    A weight w moves a token's features away from those an empty prompt has there, e + w (f - e), as in all of ComfyUI.

    Args:
        found: the encoder's sizes.
        tokenizer: its vocabulary.
        prefix: ids read before every prompt.
        device, dtype: of the weights.
        model_options: the host's.
    """

    def __init__(
        self,
        found: EncoderFile,
        tokenizer: TextTokenizer,
        prefix: Sequence[int] = (),
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        model_options: object = None,
    ) -> None:
        super().__init__()
        reading = READINGS[found.encoder.name]
        self.name, self.path = found.encoder.name, found.path
        self.pad = tokenizer.special(reading.pad) if reading.pad else 0
        self.frame = [tokenizer.special(name) for name in (reading.start, reading.end) if name]
        self.prefix = list(prefix)
        self.dtypes = {dtype}
        self.execution_device: torch.device | None = None
        self.build(found.config, {"dtype": dtype, "device": device})

    # --- what an encoder defines -----------------------------------------------------------------------------------

    network: nn.Module
    can_assign_sd: bool = False  # newer hosts set it where weights may be taken as they are

    def build(self, config: Any, place: Place) -> None:
        """Make `network`."""
        raise NotImplementedError

    def read(self, ids: Tensor) -> Read:
        """Run the network."""
        raise NotImplementedError

    # --- what the host calls ---------------------------------------------------------------------------------------

    def set_clip_options(self, options: dict[str, torch.device]) -> None:
        """Which device to run on; layers and projections are not a choice here."""
        self.execution_device = options.get("execution_device", self.execution_device)

    def reset_clip_options(self) -> None:
        self.execution_device = None

    def load_sd(self, sd: dict[str, Tensor]) -> tuple[list[str], list[str]]:
        """Take the weights.

        Raises:
            CheckpointError: some are missing or misshapen.
        """
        try:
            missing, unexpected = self.network.load_state_dict(
                sd, strict=False, assign=self.can_assign_sd
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"{self.path.name}: its sizes do not agree: {reason}") from error
        if missing or unexpected:
            what, keys = ("lacks", missing) if missing else ("has unknown", unexpected)
            raise CheckpointError(
                f"{self.path.name}: this text encoder {what} {', '.join(keys[:3])}. The file is incomplete, or one of"
                " several that belong together: download all of them into one folder"
            )
        return missing, unexpected

    def encode_token_weights(
        self, tokens: dict[str, list[list[tuple[int, float]]]]
    ) -> tuple[Tensor, Tensor | None, dict[str, object]]:
        """Features (1, m, E), pooled (1, P) or None, and the options of the CONDITIONING."""
        if KEY not in tokens:
            raise ValueError(
                "this prompt was tokenized for another text encoder: encode it with CLIP Text Encode"
            )
        (line,) = tokens[KEY]
        device = self.execution_device or mm.text_encoder_device()
        ids = torch.tensor([entry[0] for entry in line], dtype=torch.long)
        weights = torch.tensor([entry[1] for entry in line])
        rows = ids[None] if (weights == 1).all() else torch.stack([ids, self.empty(len(ids))])
        read = self.read(rows.to(device))
        features = read.features[:1]
        if len(rows) > 1:
            nothing = read.features[1:]
            features = nothing + weights[-features.shape[1] :, None].to(device) * (
                features - nothing
            )
        home = mm.intermediate_device()
        options = {"attention_mask": read.live[:1].long().to(home), MARK: self.name}
        pooled = None if read.pooled is None else read.pooled[:1].float().to(home)
        return features.float().to(home), pooled, options

    def empty(self, length: int) -> Tensor:
        """Ids of an empty prompt, padded to a length."""
        return torch.tensor((self.frame + [self.pad] * length)[:length])


class T5Prompts(PromptEncoder):
    """flan-T5: every position sees all that are not padding."""

    def build(self, config: Any, place: Place) -> None:
        from comfy.text_encoders.t5 import T5

        self.network = T5(config, place.get("dtype"), place.get("device"), comfy.ops.manual_cast)

    def read(self, ids: Tensor) -> Read:
        return host_read(self.network, ids, ids != self.pad)


class QwenPrompts(PromptEncoder):
    """Qwen2 as HART uses it: an instruction, then the prompt padded to a fixed length; its rows alone are kept."""

    def build(self, config: Any, place: Place) -> None:
        from comfy.text_encoders.llama import Qwen25_3B

        self.network = Qwen25_3B(
            config, place.get("dtype"), place.get("device"), comfy.ops.manual_cast
        )

    def read(self, ids: Tensor) -> Read:
        live = ids != self.pad
        before = torch.tensor(self.prefix, dtype=torch.long, device=ids.device).expand(len(ids), -1)
        seen = torch.cat([torch.ones_like(before, dtype=torch.bool), live], 1)
        seen[:, 0] = True  # an empty prompt without an instruction must see something
        features = host_read(self.network, torch.cat([before, ids], 1), seen).features
        return Read(features[:, before.shape[1] :], live)


class ClipVector(PromptEncoder):
    """CLIP's projected vector, one row per prompt: all that VAR-CLIP reads."""

    def build(self, config: Any, place: Place) -> None:
        self.network = ClipText(config, comfy.ops.manual_cast, **place)

    def read(self, ids: Tensor) -> Read:
        vector = self.network(ids)[:, None]
        return Read(vector, torch.ones(vector.shape[:2], dtype=torch.bool))


class ClipPair(PromptEncoder):
    """Both towers' last layer side by side, and the wider one's state at the end token, not projected (Switti)."""

    def build(self, config: Any, place: Place) -> None:
        towers = [ClipText(one, comfy.ops.manual_cast, **place) for one in config]
        self.network = nn.ModuleList(towers)

    def read(self, ids: Tensor) -> Read:
        states = [tower.states(ids) for tower in self.network]  # type: ignore[operator]
        live = torch.ones(ids.shape, dtype=torch.bool)
        return Read(torch.cat(states, -1), live, at_end(states[1], ids))


class ClipRows(PromptEncoder):
    """The states of all positions, each of length 1, padding included: what VQ-Diffusion's cross-attention sees."""

    def build(self, config: Any, place: Place) -> None:
        self.network = ClipText(config, comfy.ops.manual_cast, **place)

    def read(self, ids: Tensor) -> Read:
        rows = unit_rows(self.network.states(ids))  # type: ignore[operator]
        return Read(rows, torch.ones(ids.shape, dtype=torch.bool))


def host_read(network: Any, ids: Tensor, live: Tensor) -> Read:
    """Last states of one of the host's encoders, after its last norm, in fp32 whatever the weights' type."""
    embeds = network.get_input_embeddings()(ids, out_dtype=torch.float32)
    features = network(None, live.long(), embeds=embeds, dtype=torch.float32)[0]
    return Read(features, live)


ENCODER_CLASSES: dict[str, type[PromptEncoder]] = {
    FLAN_T5.name: T5Prompts,
    QWEN2.name: QwenPrompts,
    CLIP_VECTOR.name: ClipVector,
    CLIP_PAIR.name: ClipPair,
    CLIP_ROWS.name: ClipRows,
}


def load_text_encoder(
    paths: Sequence[Path],
    precision: str = "automatic",
    prefix: str = "",
    clean_captions: bool = False,
) -> tuple[Any, str]:
    """Load a text encoder as the host's `CLIP`; also what the user should know about it, or "".

    Args:
        paths: its file, or CLIP-L's and CLIP-bigG's.
        precision: of the weights, one of `PRECISIONS`; automatic = as stored if in half precision, else the host's choice.
        prefix: HART's instruction; "" = what `prompt_prefix.txt` beside the file says.
        clean_captions: clean prompts as the captions LlamaGen was trained on.

    Raises:
        CheckpointError: unreadable, unknown, incomplete or mismatched files.
    """
    found = find_encoder(paths)
    name, reading = found.path.name, READINGS[found.encoder.name]
    if found.encoder != QWEN2 and prefix:
        raise CheckpointError(
            f"{name}: this is {found.encoder.title}, and only HART's Qwen2 reads an instruction: leave prompt_prefix empty"
        )
    if found.encoder != FLAN_T5 and clean_captions:
        raise CheckpointError(
            f"{name}: this is {found.encoder.title}, and only LlamaGen's flan-T5 reads cleaned captions: set"
            " clean_captions to off"
        )
    words = _words(found)
    prefix, note = _instruction(found, prefix)
    reading = replace(reading, clean=clean_caption) if clean_captions else reading
    tokenizer = PromptTokenizer(words, reading, _pieces, found.encoder.title)
    clip = _clip(found, tokenizer, words.ids(prefix) if prefix else [], _dtype(found, precision))
    return clip, ". ".join(text for text in (found.note, note) if text)


def _words(found: EncoderFile) -> TextTokenizer:
    """The encoder's vocabulary: from beside it, or the host's copy."""
    reading = READINGS[found.encoder.name]
    spare = Path(str(resources.files("comfy").joinpath(reading.spare)))
    words = read_tokenizer(found.folder, spare, reading.kind)
    if words.size > found.vocab:
        raise CheckpointError(
            f"{found.path.name}: the text tokenizer in {words.path} has {words.size} tokens, but the encoder knows only"
            f" {found.vocab}. Put the {TOKENIZER} of the encoder's own release into {found.folder}"
        )
    return words


def _instruction(found: EncoderFile, typed: str) -> tuple[str, str]:
    """HART's instruction, typed or from beside the encoder, and what the user should know about it, or ""."""
    beside = found.folder / INSTRUCTION
    if found.encoder != QWEN2:
        return "", ""
    text = typed or (read_instruction(beside) if beside.is_file() else "")
    if not text:
        return "", (
            f"{found.path.name}: HART was trained with an instruction before every prompt, and none is there. Save the"
            f" release's as {INSTRUCTION} in {found.folder}, or type it into prompt_prefix"
        )
    text, known = as_released(text)
    if known or typed:  # what is typed is meant
        return text, ""
    return text, (
        f"{found.path.name}: the text of {INSTRUCTION} beside it is not, letter by letter, the instruction HART was trained"
        " with, so images may follow prompts less well. If that is not what you want, copy the release's again"
    )


def _pieces(prompt: str) -> Weighted:
    """A prompt in the host's syntax for weights."""
    escaped = comfy.sd1_clip.token_weights(comfy.sd1_clip.escape_important(prompt), 1.0)
    return [(comfy.sd1_clip.unescape_important(piece), weight) for piece, weight in escaped]


def _dtype(found: EncoderFile, precision: str) -> torch.dtype:
    if found.encoder in (CLIP_VECTOR, CLIP_ROWS):
        return torch.float32  # as its release; it is small
    return PRECISIONS[precision] or found.half or mm.text_encoder_dtype(mm.text_encoder_device())


def _clip(
    found: EncoderFile, tokenizer: PromptTokenizer, prefix: Sequence[int], dtype: torch.dtype
) -> Any:
    """The host's CLIP object round the encoder, weights loaded."""
    network = partial(ENCODER_CLASSES[found.encoder.name], found, tokenizer.tokenizer, prefix)
    size = sum(tensor.numel() for tensor in found.tensors.values())
    options: dict[str, Any] = {"parameters": size, "model_options": {"dtype": dtype}}
    at_once = "state_dict" in inspect.signature(comfy.sd.CLIP.__init__).parameters
    if at_once:  # newer hosts decide where weights live while they are loaded
        options["state_dict"] = [found.tensors]
    # The host makes the tokenizer itself, from a folder of embeddings that these encoders do not use.
    target = SimpleNamespace(params={}, clip=network, tokenizer=lambda **ignored: tokenizer)
    clip = comfy.sd.CLIP(target, **options)
    if not at_once:
        clip.load_sd(found.tensors)
    logging.info(
        "[AR Guidance] %s: %s, %.0f M parameters, %s",
        found.path.name,
        found.encoder.title,
        size / 1e6,
        str(dtype).removeprefix("torch."),
    )
    return clip
