"""Text -> token ids, with the tokenizer files beside a checkpoint. They are read as data: nothing in them is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from ...models.family import PromptSpec
from ...models.parts.prompt import Prompt
from ...models.parts.settings import Json
from ...models.parts.sizes import TransformerConfig
from ..quote import quoted
from ..read import (
    MERGES,
    TOKENIZER,
    TOKENIZER_SETTINGS,
    VOCABULARY,
    CheckpointError,
    added_tokens,
    read_json,
)
from .tokenizers import as_text, refusing

PARTS = (VOCABULARY, MERGES)

# How Qwen2's tokenizer cuts a text before it merges bytes: contractions, words, digits, signs, line ends, blanks.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, repr=False)
class OwnTokenizer:
    """A checkpoint's own tokenizer.

    Attributes:
        folder: where its files lie.
        tokenizer: text -> ids.
        lead: id that the settings name as a text's first, or None.
    """

    folder: Path
    tokenizer: Tokenizer
    lead: int | None

    def ids(self, text: str) -> list[int]:
        """Ids of a text, nothing added."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def check(self, spec: PromptSpec, config: TransformerConfig) -> None:
        """Raise CheckpointError when these files belong to another model."""
        size, words = self.tokenizer.get_vocab_size(), spec.words(config)
        if size > words:
            raise CheckpointError(
                f"{self.folder.name}: the text tokenizer there has {size} tokens, but the model knows only {words}."
                f" {_remedy(self.folder)}"
            )
        for name, wanted in spec.special(config).items():
            found = self.tokenizer.token_to_id(name)
            if found != wanted:
                raise CheckpointError(
                    f"{self.folder.name}: in the text tokenizer there, {name} is"
                    f" {'missing' if found is None else f'number {found}'}, but the model has it as number {wanted}."
                    f" {_remedy(self.folder)}"
                )
        if spec.leads and self.lead is None:
            raise CheckpointError(
                f"{self.folder.name}: {TOKENIZER_SETTINGS} is missing there, or names no first token (bos_token or eos_token)."
                f" {_remedy(self.folder)}"
            )


def read_own_tokenizer(folder: Path) -> OwnTokenizer:
    """The text tokenizer in a checkpoint's folder: `tokenizer.json`, or `vocab.json` with `merges.txt`.

    Raises:
        CheckpointError: files are missing or are not a tokenizer.
    """
    settings = read_json(folder / TOKENIZER_SETTINGS)
    if (folder / TOKENIZER).is_file():
        name, make = TOKENIZER, lambda: Tokenizer.from_file(str(folder / TOKENIZER))
    elif all((folder / part).is_file() for part in PARTS):
        name, make = " and ".join(PARTS), lambda: _from_parts(folder)
    else:
        raise CheckpointError(
            f"{quoted(folder.name)}: this model reads text itself, and its text tokenizer is not in its folder: there is neither"
            f" {TOKENIZER} nor {' with '.join(PARTS)}. {_remedy(folder)}"
        )
    with refusing(f"{quoted(folder.name)}: {name} is not a text tokenizer", _remedy(folder)):
        tokenizer = make()
        as_text(tokenizer)
    return OwnTokenizer(folder, tokenizer, _lead(tokenizer, settings))


def _remedy(folder: Path) -> str:
    return f"Download {TOKENIZER} (or {' and '.join(PARTS)}) and {TOKENIZER_SETTINGS} of this very release into {folder}"


def _lead(tokenizer: Tokenizer, settings: dict[str, Json]) -> int | None:
    for key in ("bos_token", "eos_token"):
        token = settings.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            return tokenizer.token_to_id(token)
    return None


def _from_parts(folder: Path) -> Tokenizer:
    """Qwen2's byte-level tokenizer from its vocabulary, merges and added tokens."""
    lines = (folder / PARTS[1]).read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    tokenizer = Tokenizer(BPE(vocab=read_json(folder / PARTS[0]), merges=merges))  # type: ignore[arg-type]
    tokenizer.normalizer = normalizers.NFC()  # type: ignore[assignment]
    cut = pre_tokenizers.Split(Regex(_QWEN2), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, to_bytes])  # type: ignore[assignment]
    for id, name in sorted(added_tokens(folder).items()):
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False)])
        if tokenizer.token_to_id(name) != id:
            raise ValueError(f"{name} should be number {id}, which {PARTS[0]} leaves no place for")
    return tokenizer


def encode(
    spec: PromptSpec,
    config: TransformerConfig,
    tokenizer: OwnTokenizer,
    prompts: Sequence[str],
    sentence: str = "",
) -> Prompt:
    """The conditional branch of some prompts; `sentence`: of an image of two panels, see `PromptSpec`.

    Raises:
        ValueError: a prompt longer than the model takes.
    """
    text = spec.text
    if sentence and spec.panels is not None:
        text = partial(_paneled, spec.panels, sentence)
    return _branch(spec, config, tokenizer, [text(config, prompt) for prompt in prompts])


def _paneled(
    panels: Callable[[TransformerConfig, str, str], str],
    sentence: str,
    config: TransformerConfig,
    prompt: str,
) -> str:
    return panels(config, sentence, prompt)


def encode_negative(
    spec: PromptSpec, config: TransformerConfig, tokenizer: OwnTokenizer, negative: str, batch: int
) -> Prompt:
    """The unconditional branch: the negative prompt, or, where it is empty, what the family publishes."""
    chosen = negative or spec.negative
    if chosen is None:
        return Prompt.of([spec.head(config)] * batch)
    text = (spec.negative_text or spec.text)(config, chosen)
    return _branch(spec, config, tokenizer, [text] * batch)


def _branch(
    spec: PromptSpec, config: TransformerConfig, tokenizer: OwnTokenizer, texts: Sequence[str]
) -> Prompt:
    lead = [tokenizer.lead] if spec.leads and tokenizer.lead is not None else []
    rows = [[*lead, *tokenizer.ids(text), *spec.head(config)] for text in texts]
    longest, room = max(rows, key=len), spec.room(config)
    if len(longest) > room:
        raise ValueError(
            f"the prompt is too long: it takes {len(longest)} tokens, and this model has room for {room}"
            f" beside the image. Shorten it: '{quoted(texts[rows.index(longest)][:60])} ...'"
        )
    return Prompt.of(rows)
