#!/usr/bin/env bash
# transformers 4.57.6 and 5.23.0: does T5Tokenizer read text behind a special token alike in both, with the same settings?
# Guess: yes. `legacy` chooses between two ways, so with `legacy` given the version of the library does not matter.
# Seen: no. With legacy=False 4.57.6 reads "red</s>bird" without a blank before "bird", 5.23.0 with one, as with legacy=True: it takes the
# setting and does nothing with it. Another token is another prompt. Text without special tokens is read alike.
# Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
cat > read.py <<'PYTHON'
import sys

import sentencepiece
from transformers import T5Tokenizer

if sys.argv[1:] == ["train"]:
    lines = ["a red bird on the roof", "the bird is red", "on a red roof the bird", "bird red on a the roof is"] * 50
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix="spiece", vocab_size=40, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
for legacy in (True, False):
    read = T5Tokenizer.from_pretrained(".", legacy=legacy, extra_ids=2)
    print(" ".join(read.tokenize("red bird")), "|", " ".join(read.tokenize("red</s>bird")), end=" ; ")
PYTHON
seen=""
for version in 4.57.6 5.23.0; do
  python3 -m venv "$version"
  "$version/bin/pip" --disable-pip-version-check --quiet install transformers==$version sentencepiece==0.2.1 protobuf==7.36.2
  made=$(PYTHONUTF8=1 "$version/bin/python" read.py $([ -f spiece.model ] || echo train) 2>/dev/null)
  echo "transformers $version, legacy=True ; legacy=False: $made"
  seen="$seen$made/"
done
red=$'▁red' bird=$'▁bird'
with="$red $bird | $red </s> $bird ; " without="$red $bird | $red </s> bird ; "
[ "$seen" = "$with$without/$with$with/" ]
