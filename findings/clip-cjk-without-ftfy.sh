#!/usr/bin/env bash
# transformers 4.57.6: does CLIPTokenizer read the same text alike with and without the optional package ftfy?
# Guess: yes. ftfy repairs broken encodings; a text that is in order is read the same without it.
# Seen: no. Without ftfy every Chinese or Japanese character becomes a word of its own; with ftfy, and in CLIPTokenizerFast, a run of them
# is one word. Its tokens are others, since CLIP marks the end of each word, so one prompt gives two images on two installations.
# Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet install)
"${pip[@]}" transformers==4.57.6
cat > "$work/read.py" <<'PYTHON'
import json
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer, CLIPTokenizerFast

letters = sorted(ByteLevel.alphabet())
names = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
Path("clip").mkdir(exist_ok=True)
Path("clip/vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
Path("clip/merges.txt").write_text("#version: 0.2\n")


def words(kind, text: str) -> int:
    """How many words the tokenizer saw: it ends each with </w>."""
    return sum(token.endswith("</w>") for token in kind.from_pretrained("clip").tokenize(text))


for text in ("红鸟在屋顶", "a red bird"):
    print(words(CLIPTokenizer, text), words(CLIPTokenizerFast, text))
PYTHON
cd "$work"
without=$(PYTHONUTF8=1 venv/bin/python read.py 2>/dev/null | tr '\n' ' ')
"${pip[@]}" ftfy==6.3.1
with=$(PYTHONUTF8=1 venv/bin/python read.py 2>/dev/null | tr '\n' ' ')
echo "transformers 4.57.6: words of a Chinese, then of an English text, by CLIPTokenizer and CLIPTokenizerFast"
echo "without ftfy:    $without"
echo "with ftfy 6.3.1: $with"
[ "$without" = "5 1 3 3 " ] && [ "$with" = "1 1 3 3 " ]
