"""Stock CONDITIONING as a condition for the text-conditional families: read, checked, turned into what a network takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..loaders.quote import quoted
from ..models.family import TextSpec
from ..models.parts.sizes import TransformerConfig
from ..models.parts.text import NetworkCondition, TextCondition, stack_texts
from ..models.text.encoders import ENCODERS, MARK
from ..sampling.model import Model

# What other nodes put into a CONDITIONING and no autoregressive model can follow: options -> the node to remove. The first
# three are read before, as regions (`stock.py`), where an image is composed.
UNHEARD = {
    "area": "Conditioning (Set Area)",
    "mask": "Conditioning (Set Mask)",
    "start_percent": "ConditioningSetTimestepRange",
    "clip_start_percent": "the CLIP hooks with keyframes",
    "control": "Apply ControlNet",
    "gligen": "GLIGENTextBoxApply",
    "reference_latents": "ReferenceLatent",
    "concat_latent_image": "InpaintModelConditioning",
}


StockOptions = Mapping[str, Any]  # what its maker, and other nodes, put beside the features
StockConditioning = Sequence[tuple[Tensor, StockOptions]]


@dataclass(frozen=True, eq=False)
class Prompts:
    """One entry of a CONDITIONING: one prompt, or as many as its tensors have rows.

    Attributes:
        text: features (B, n, E) and which rows of them are text (B, n), fp32 and bool.
        masked: whether the conditioning itself said which.
        encoder: name of the encoder, where our loader made it; "" otherwise.
    """

    text: TextCondition
    masked: bool
    encoder: str

    @property
    def count(self) -> int:
        return self.text.features.shape[0]

    def rows(self) -> list["Prompts"]:
        """Each prompt as an entry of its own."""
        return [replace(self, text=self.text.row(i)) for i in range(self.count)]


def read_conditioning(conditioning: StockConditioning, which: str) -> tuple[Prompts, ...]:
    """The entries of a stock CONDITIONING; `which`: the input's name, for messages.

    Raises:
        ValueError: it is empty or asks for what cannot be done.
    """
    if not conditioning:
        raise ValueError(f"{which}: this CONDITIONING is empty. Connect a CLIP Text Encode node")
    return tuple(_entry(features, options, which) for features, options in conditioning)


def _entry(features: Tensor, options: StockOptions, which: str) -> Prompts:
    for option, node in UNHEARD.items():
        if options.get(option) is not None:
            raise ValueError(
                f"{which}: this CONDITIONING carries '{option}', which autoregressive models cannot follow:"
                f" the whole prompt holds for the whole image. Remove {node} from the chain"
            )
    mask, pooled = options.get("attention_mask"), options.get("pooled_output")
    rows, length = features.shape[:2]
    if mask is not None and mask.shape[-1] != length:
        raise ValueError(
            f"{which}: this CONDITIONING has {length} rows and a mask for {mask.shape[-1]}, as Conditioning (Concat) leaves"
            " it: write both texts into one prompt instead"
        )
    live = torch.ones(rows, length) if mask is None else mask.reshape(-1, length).expand(rows, -1)
    if pooled is not None:
        pooled = pooled.cpu().float().expand(rows, -1)
    text = TextCondition(features.cpu().float(), live.cpu() > 0, pooled)
    return Prompts(text, mask is not None, options.get(MARK, ""))


@dataclass(frozen=True, eq=False)
class TextConditioning:
    """Prompts, one per image of the batch, and what to keep away from.

    Attributes:
        positive: what to generate.
        negative: the unconditional branch's prompts, one for all images or one each; () = "no prompt" as the model learnt it.
    """

    positive: tuple[Prompts, ...]
    negative: tuple[Prompts, ...] = ()

    @property
    def count(self) -> int:
        return sum(prompts.count for prompts in self.positive)

    def check(self, model: Model) -> None:
        spec = text_spec(model)
        for prompts in self.positive:
            _check(model, spec, prompts, "positive")
        for prompts in self.negative:
            _check(model, spec, prompts, "negative")
        against = sum(prompts.count for prompts in self.negative)
        if against not in (0, 1, self.count):
            raise ValueError(
                f"there are {against} negative prompts for {self.count} positive ones: give one for all, or one each"
            )
        if not against and model.family.null == "prompt":
            raise ValueError(
                f'{quoted(model.name)}: {model.family.title} has not learnt what "no prompt" is and needs the negative input:'
                " connect a second CLIP Text Encode to it, with an empty text or what to avoid"
            )

    def branches(self, model: Model, copies: int) -> tuple[NetworkCondition, NetworkCondition]:
        cond = _condition(model, self.positive, copies)
        if not self.negative:
            return cond, model.network.null_condition(copies * self.count)
        alone = sum(prompts.count for prompts in self.negative) == 1
        return cond, _condition(model, self.negative, copies * (self.count if alone else 1))

    def entry(self, index: int) -> "TextConditioning":
        positive = [row for prompts in self.positive for row in prompts.rows()]
        negative = [row for prompts in self.negative for row in prompts.rows()]
        against = negative if len(negative) < 2 else [negative[index]]
        return TextConditioning((positive[index],), tuple(against))

    def __repr__(self) -> str:
        against = ", with a negative prompt" if self.negative else ""
        return f"AR conditioning: {self.count} prompts{against}"


def text_spec(model: Model) -> TextSpec:
    """What the model reads of an encoded prompt.

    Raises:
        ValueError: it reads none.
    """
    if model.family.text is None:
        other = (
            "AR Class Condition" if model.family.conditioning == "class" else "AR Prompt Condition"
        )
        raise ValueError(
            f"{quoted(model.name)} is a {model.family.title} model, which does not read encoded text: use {other} instead"
        )
    return model.family.text


def _condition(model: Model, prompts: Sequence[Prompts], copies: int) -> NetworkCondition:
    """All prompts, each `copies` times, as the network takes them."""
    spec, text = text_spec(model), stack_texts([entry.text for entry in prompts])
    length = text.features.shape[1] if spec.fixed else max(_tokens(text), 1)
    repeated = TextCondition(
        text.features[:, :length].repeat_interleave(copies, 0),
        None if text.live is None else text.live[:, :length].repeat_interleave(copies, 0),
        None if text.pooled is None else text.pooled.repeat_interleave(copies, 0),
    )
    return spec.condition(model.config, repeated)


def _tokens(text: TextCondition) -> int:
    """Rows of the longest prompt, without the padding behind it."""
    assert text.live is not None
    live = text.live.any(0).nonzero()
    return int(live[-1]) + 1 if len(live) else 0


def _check(model: Model, spec: TextSpec, prompts: Prompts, which: str) -> None:
    """Refuse what another encoder made, what it made of broken weights, or more than the model reads."""
    found, most = _foreign(spec, model.config, prompts), spec.tokens(model.config)
    if found:
        raise ValueError(
            f"{which}: {quoted(model.name)} ({model.family.title}) reads {spec.encoder.title}, but this"
            f" CONDITIONING {found}. Use {spec.encoder.load}, and encode the prompt with CLIP Text Encode"
        )
    if not _finite(prompts.text):
        raise ValueError(
            f"{which}: the text features of this CONDITIONING are not all numbers (NaN or infinity), so no image can be"
            f" drawn from them: {spec.encoder.title} was not read properly. Use {spec.encoder.load}; if that made them,"
            " set its precision to float32 or download the file again"
        )
    tokens = _tokens(prompts.text)
    if tokens > most:
        raise ValueError(
            f"{which}: this prompt has {tokens} tokens, and {model.family.title} reads at most {most}: shorten it"
        )


def _finite(text: TextCondition) -> bool:
    """Whether an encoder gave numbers: weights under the wrong names give NaN, and hosts only log a warning."""
    return all(part is None or bool(part.isfinite().all()) for part in (text.features, text.pooled))


def _foreign(spec: TextSpec, config: TransformerConfig, prompts: Prompts) -> str:
    """What shows that another encoder made this conditioning, or ""."""
    text, pooled = prompts.text, spec.pooled(config)
    rows, width = text.features.shape[1:]
    if prompts.encoder and prompts.encoder != spec.encoder.name:
        other = ENCODERS.get(prompts.encoder)
        return f"comes from {other.title if other else prompts.encoder}"
    if width != spec.width(config):
        return f"is {width} wide instead of {spec.width(config)}"
    if spec.fixed and rows != spec.tokens(config):
        return f"has {rows} rows instead of {spec.tokens(config)}"
    if spec.masked and not prompts.masked:
        return "does not say which of its rows are padding (no attention_mask)"
    if not prompts.encoder and not spec.encoder.hosted:
        return "does not come from AR Load Text Encoder, and ComfyUI's own loaders cannot load that encoder"
    given = 0 if text.pooled is None else text.pooled.shape[1]
    if given == pooled or prompts.encoder:
        return ""
    wanted = f"instead of {pooled}" if pooled else "and should have none"
    return f"has a pooled vector of {given} numbers {wanted}" if given else "has no pooled vector"
