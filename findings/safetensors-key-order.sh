#!/usr/bin/env bash
# safetensors 0.8.0: in which order does a file list its tensors?
# Guess: in the order in which they were saved, as torch.save and a Python dict do.
# Seen: by the alphabet (among tensors of one type). "The first of several sets of weights in the file" is therefore not the
# set that was written first: beside {"model": ..., "ema": ...}, saved in that order, EMA comes first in .safetensors.
# Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy
cd "$work" && "$work/venv/bin/python" - <<'PYTHON'
import json
import pickle
import struct
from importlib.metadata import version

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

written = ["model.weight", "ema.weight", "model.bias"]
save_file({name: np.ones(2, np.float32) for name in written}, "file.safetensors")
with open("file.safetensors", "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
with safe_open("file.safetensors", framework="numpy") as file:
    listed = list(file.keys())
pickled = list(pickle.loads(pickle.dumps({name: 0 for name in written})))
print("safetensors", version("safetensors"))
print("written:             ", written)
print("a pickled dict lists:", pickled)
print("the file's header:   ", list(header))
print("safe_open lists:     ", listed)
assert pickled == written
assert listed == sorted(written) != written, "safe_open no longer lists by the alphabet"
PYTHON
