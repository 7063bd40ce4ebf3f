"""Prompts as text, for models that read them with a tokenizer of their own."""

import re
from dataclasses import dataclass, replace

from ..loaders.quote import quoted
from ..loaders.text.prompts import OwnTokenizer, encode, encode_negative
from ..models.family import PromptSpec
from ..models.parts.prompt import Prompt
from ..sampling.model import Model

SEPARATOR = r"^[ \t]*-{3,}[ \t]*$"


@dataclass(frozen=True)
class PromptConditioning:
    """Prompts as text: ids are made when the run is described, for a prompt may name the image's size.

    Attributes:
        prompts: one per image of the batch.
        negative: of all of them; "" = what the model's authors published.
        tokenizer: the model's own.
        sentence: of images of two panels, what the panels show; "" = ordinary images.
    """

    prompts: tuple[str, ...]
    negative: str
    tokenizer: OwnTokenizer
    sentence: str = ""

    @property
    def count(self) -> int:
        return len(self.prompts)

    def check(self, model: Model) -> None:
        if model.family.prompt is None or model.folder != self.tokenizer.folder:
            raise ValueError(
                f"the prompt was read by the tokenizer in {quoted(self.tokenizer.folder.name)}, which is not that of"
                f" {quoted(model.name)}: connect both nodes to the same AR Load Checkpoint"
            )
        self.branches(model, 1)

    def branches(self, model: Model, copies: int) -> tuple[Prompt, Prompt]:
        spec, config = prompt_spec(model), model.config
        self.tokenizer.check(spec, config)
        cond = encode(spec, config, self.tokenizer, self.prompts, self.sentence)
        null = encode_negative(spec, config, self.tokenizer, self.negative, self.count)
        return cond.repeated(copies), null.repeated(copies)

    def entry(self, index: int) -> "PromptConditioning":
        return replace(self, prompts=(self.prompts[index],))

    def __repr__(self) -> str:
        shown = " | ".join(quoted(prompt, 60) for prompt in self.prompts[:8])
        return f"AR conditioning: {shown}"


def prompt_spec(model: Model) -> PromptSpec:
    """How this model is told what to generate.

    Raises:
        ValueError: it does not read text itself.
    """
    if model.family.prompt is None:
        raise ValueError(
            f"{quoted(model.name)} is a {model.family.title} model, which does not read text itself. For classes use AR Class"
            " Condition; AR Prompt Condition is for SimpleAR and Lumina-mGPT 2"
        )
    return model.family.prompt


def split_prompts(text: str) -> tuple[str, ...]:
    """Prompts between lines of three or more dashes; empty ones are left out.

    Raises:
        ValueError: nothing is left.
    """
    pieces = [piece.strip() for piece in re.split(SEPARATOR, text, flags=re.MULTILINE)]
    prompts = tuple(piece for piece in pieces if piece)
    if not prompts:
        raise ValueError("the prompt is empty: write what to generate")
    return prompts
