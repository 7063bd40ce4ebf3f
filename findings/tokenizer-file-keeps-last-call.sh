#!/usr/bin/env bash
# transformers 4.57.6 with tokenizers: does asking a tokenizer to pad or cut one text change the file it saves?
# Guess: no. padding= and truncation= are arguments of a call; tokenizer.json describes the tokenizer.
# Seen: tokenizer.json keeps the padding and truncation of the last call. The raw `tokenizers` library obeys them: whoever reads
# that file gets every text cut and padded to the length of somebody's last call, without asking for it.
# Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check transformers==4.57.6
cd "$work" && "$work/venv/bin/python" - 2>/dev/null <<'PYTHON'
import json
from importlib.metadata import version

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "red", "bird", "on", "roof"])}
raw = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
raw.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
text = "a red bird on a roof"


def saved_and_read() -> tuple[dict, list[str]]:
    tokenizer.save_pretrained("saved")
    with open("saved/tokenizer.json") as file:
        described = json.load(file)
    return described, Tokenizer.from_file("saved/tokenizer.json").encode(text).tokens


print("transformers", version("transformers"), "tokenizers", version("tokenizers"))
before, whole = saved_and_read()
print("before any call:", before["padding"], before["truncation"], whole)
tokenizer("a bird", padding="max_length", truncation=True, max_length=4)
after, cut = saved_and_read()
print("after one call: ", after["padding"], after["truncation"], cut)
assert before["padding"] is None and before["truncation"] is None and len(whole) == 6
assert after["truncation"]["max_length"] == 4 and after["padding"] is not None
assert len(cut) == 4, "the raw library no longer obeys the saved truncation"
PYTHON
