"""Prompts -> token ids, with tokenizer files that are read as data: from beside the text encoder, else the host's own. No"
" host."""

import hashlib
import html
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...models.text.encoders import CLIP_PAIR, CLIP_ROWS, CLIP_VECTOR, FLAN_T5, QWEN2
from ..quote import quoted, reason
from ..read import MERGES, TOKENIZER, VOCABULARY, CheckpointError

CLIP_LENGTH = 77
HEAVIEST = 1000.0  # weight of a piece of a prompt
CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
CLIP_FIRST = "!"  # id 0, which OpenAI's tokenizer pads with
# SHA-256 of the instruction that HART's release puts before every prompt; the text itself is not ours to give away.
HART_INSTRUCTION = "424f7aa7b1119f8ed1e329140e5941dfe308183bea0af59041dad5527a9b8f20"
KEY = "ar_text"  # under which a prompt's ids travel from the host's tokenizer call to its encoder call
PARTS = (VOCABULARY, MERGES)

Weighted = list[tuple[str, float]]  # pieces of a prompt and how much each counts


@dataclass(frozen=True)
class TextTokenizer:
    """A vocabulary.

    Attributes:
        path: the folder its files lie in.
        ids: text -> ids, nothing added.
        id: name of a token -> its id, or None.
        size: how many ids there are.
    """

    path: Path
    ids: Callable[[str], list[int]]
    id: Callable[[str], int | None]
    size: int

    def special(self, name: str) -> int:
        """Id of a token that must be there.

        Raises:
            CheckpointError: it is not.
        """
        found = self.id(name)
        if found is None:
            raise CheckpointError(
                f"{self.path.name}: the text tokenizer there has no {name}, so it belongs to another text encoder."
                f" Put the {TOKENIZER} of the encoder's own release beside it"
            )
        return found


def read_tokenizer(folder: Path, spare: Path, kind: str) -> TextTokenizer:
    """The tokenizer in the encoder's folder, or else the one in `spare`, a folder of the host.

    Args:
        folder, spare: hold `tokenizer.json`, or `vocab.json` and `merges.txt`.
        kind: name of the tokenizer in `transformers` that reads the latter two.

    Raises:
        CheckpointError: the file is none.
    """
    for place in (folder, spare):
        if (place / TOKENIZER).is_file():
            return _from_json(place)
        if all((place / part).is_file() for part in PARTS):
            return _from_parts(place, kind)
    raise CheckpointError(
        f"{folder.name}: there is no text tokenizer beside the encoder. Put its release's {TOKENIZER} into {folder}"
    )


@contextmanager
def refusing(what: str, remedy: str) -> Iterator[None]:
    """Refuse a file that the `tokenizers` library cannot read, with its reason.

    Raises:
        CheckpointError: `what` (reason). `remedy`.
    """
    try:
        yield
    except BaseException as error:  # nothing more special is raised; panics are no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise CheckpointError(f"{what} ({reason(error)}). {remedy}") from error


def _from_json(folder: Path) -> TextTokenizer:
    from tokenizers import Tokenizer

    this = f"{quoted(folder / TOKENIZER, 200)}: this is"
    with refusing(f"{this} not a text tokenizer", "Download it again"):
        read = Tokenizer.from_file(str(folder / TOKENIZER))
        as_text(read)
    return TextTokenizer(
        folder,
        lambda text: read.encode(text, add_special_tokens=False).ids,
        read.token_to_id,
        read.get_vocab_size(),
    )


class Padding(Protocol):
    """A tokenizer of the `tokenizers` library, as far as it pads and cuts."""

    def no_padding(self) -> None: ...

    def no_truncation(self) -> None: ...


def as_text(tokenizer: Padding) -> None:
    """Switch off what a tokenizer's file says of padding and cutting: what a prompt becomes depends on the model alone.

    Files saved after a call with padding="max_length" keep that: pads would stand inside the prompt, long ones lose their end.
    """
    tokenizer.no_padding()
    tokenizer.no_truncation()


def _from_parts(folder: Path, kind: str) -> TextTokenizer:
    import transformers

    try:
        read = getattr(transformers, kind).from_pretrained(str(folder), local_files_only=True)
        words = read.get_vocab()
    except Exception as error:  # whatever the library makes of damaged files
        raise CheckpointError(
            f"{quoted(folder, 200)}: {VOCABULARY} and {MERGES} there are not a text tokenizer ({reason(error)}). Download"
            " them again"
        ) from error
    return TextTokenizer(
        folder,
        lambda text: read(text, add_special_tokens=False, padding=False, truncation=False)[
            "input_ids"
        ],
        words.get,
        max(words.values()) + 1,
    )


def read_instruction(path: Path) -> str:
    """The text of a file, without the byte order mark some editors put before it.

    Raises:
        CheckpointError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{path.name}: this text file in {path.parent} is not in UTF-8. Save it again with that encoding"
        ) from error


def as_released(instruction: str) -> tuple[str, bool]:
    """HART's instruction as its release has it, and whether it is: editors add a last line end, copying may lose it."""
    plain = instruction.replace("\r\n", "\n")
    bare = plain.removesuffix("\n")
    for text in (plain, bare, f"{bare}\n"):
        if hashlib.sha256(text.encode()).hexdigest() == HART_INSTRUCTION:
            return text, True
    return instruction, False


@dataclass(frozen=True)
class Reading:
    """How the prompts of an encoder become ids.

    Attributes:
        spare: the host's folder with this vocabulary, below `comfy`.
        kind: see `read_tokenizer`.
        start, end, pad: names of the tokens before and behind a prompt and of padding; "" = none.
        length: ids every prompt is padded to; 0 = no padding.
        most: the most ids, start and end included; 0 = any number.
        weights: whether pieces may count more or less than others.
        clean: what is done to a text first.
    """

    spare: str
    kind: str
    start: str = ""
    end: str = ""
    pad: str = ""
    length: int = 0
    most: int = 0
    weights: bool = True
    clean: Callable[[str], str] = str


def clean_prompt(prompt: str) -> str:
    """Entities resolved (twice: captions of the web escape them so), white space collapsed, lower case."""
    text = html.unescape(html.unescape(prompt)).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


_CLIP = Reading(
    "sd1_tokenizer", "CLIPTokenizerFast", CLIP_START, CLIP_END, pad=CLIP_END, most=CLIP_LENGTH
)
READINGS = {
    FLAN_T5.name: Reading("text_encoders/t5_tokenizer", "T5Tokenizer", end="</s>", pad="<pad>"),
    QWEN2.name: Reading(
        "text_encoders/qwen25_tokenizer",
        "Qwen2Tokenizer",
        pad="<|endoftext|>",
        length=300,
        most=300,
    ),
    CLIP_PAIR.name: _CLIP,
    CLIP_ROWS.name: Reading(
        _CLIP.spare,
        _CLIP.kind,
        CLIP_START,
        CLIP_END,
        pad=CLIP_FIRST,
        length=CLIP_LENGTH,
        most=CLIP_LENGTH,
        clean=clean_prompt,
    ),
    CLIP_VECTOR.name: Reading(
        _CLIP.spare,
        _CLIP.kind,
        CLIP_START,
        CLIP_END,
        most=CLIP_LENGTH,
        weights=False,
        clean=clean_prompt,
    ),
}


class PromptTokenizer:
    """What the host's CLIP object calls to tokenize.

    Args:
        tokenizer: the vocabulary.
        reading: the encoder's rules.
        pieces: a prompt -> its pieces and their weights, in the host's syntax.
        title: the encoder, for messages.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        reading: Reading,
        pieces: Callable[[str], Weighted],
        title: str,
    ) -> None:
        self.tokenizer, self.reading, self.pieces, self.title = tokenizer, reading, pieces, title

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **options: object
    ) -> dict[str, list[list[tuple[float, ...]]]]:
        """A prompt as the host passes it on: (id, weight) of every position, and the piece it is from if asked.

        Raises:
            ValueError: longer than the encoder reads, or with weights where they could not act.
        """
        rule, words = self.reading, self.tokenizer
        if not rule.weights and re.search(r"\([^()]*:\s*[\d.]+\s*\)", text):
            raise ValueError(
                f"{self.title} makes one vector of the whole prompt, so a weight such as (word:1.3) could not act:"
                " remove the weights"
            )
        line = [(words.special(rule.start), 1.0, 0)] if rule.start else []
        for number, (piece, weight) in enumerate(
            self.pieces(text) if rule.weights else [(text, 1.0)], 1
        ):
            if not abs(weight) <= HEAVIEST:
                raise ValueError(
                    f"the prompt gives '{quoted(piece, 40)}' the weight {weight:g}, with which nothing can be computed: write a"
                    " number, or put a backslash before brackets that are not a weight: \\( \\)"
                )
            line += [(id, weight, number) for id in words.ids(rule.clean(piece))]
        line += [(words.special(rule.end), 1.0, 0)] if rule.end else []
        if rule.most and len(line) > rule.most:
            raise ValueError(
                f"this prompt has {len(line)} tokens, and {self.title} reads at most {rule.most}: shorten it."
                f" It begins '{quoted(text[:60])}'"
            )
        if rule.length:
            line += [(words.special(rule.pad), 1.0, 0)] * (rule.length - len(line))
        return {KEY: [line if return_word_ids else [entry[:2] for entry in line]]}

    def untokenize(self, pairs: Sequence[tuple[float, ...]]) -> list[tuple[tuple[float, ...], str]]:
        """Ids as they are: no node of the host needs their names."""
        return [(pair, str(pair[0])) for pair in pairs]

    def state_dict(self) -> dict[str, object]:
        """Nothing to save beside the weights."""
        return {}
