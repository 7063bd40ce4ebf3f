#!/usr/bin/env bash
# torch 2.13.0: where are the weights of a TorchScript file after torch.jit.freeze?
# Guess: still in the state dict; freezing folds what is constant and drops what training needs.
# Seen: the state dict is empty. Every weight has become a constant of the program, in the file's constants/ folder under a
# number, without its name: a frozen .jit file can be run, but its weights cannot be loaded into another module by key.
# Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy --extra-index-url https://download.pytorch.org/whl/cpu
cd "$work" && "$work/venv/bin/python" - 2>/dev/null <<'PYTHON'
import zipfile

import torch

network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)).eval()
scripted = torch.jit.script(network)
frozen = torch.jit.freeze(scripted)
x = torch.ones(1, 3)
assert torch.allclose(scripted(x), frozen(x))


def stored(module, name: str) -> dict[str, int]:
    module.save(name)
    names = zipfile.ZipFile(name).namelist()
    return {f: sum(f"/{f}/" in n for n in names) for f in ("data", "constants")}


print("torch", torch.__version__)
print("scripted:", sorted(scripted.state_dict()), stored(scripted, "scripted.jit"))
print("frozen:  ", sorted(frozen.state_dict()), stored(frozen, "frozen.jit"))
again = torch.jit.load("frozen.jit")
assert len(scripted.state_dict()) == 4
assert not frozen.state_dict() and not again.state_dict(), "freeze keeps weights in the state dict"
assert stored(frozen, "frozen.jit")["constants"] >= 4
PYTHON
