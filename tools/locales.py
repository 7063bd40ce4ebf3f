#!/usr/bin/env python3
"""Write the English words of every node from their schemas: python -m tools.locales [--check] [--host FOLDER].

`locales/en/` (nodeDefs.json, and main.json with the menu's categories and the names of links) is what the frontend shows; other languages are
written by hand beside it, with the same keys; what they lack is shown in English and listed at the end. The schemas are made with ComfyUI's own classes, so a copy of ComfyUI is needed (`python3 dev.py test` fetches one).
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ar_guidance.tools.dev.launch_host import (
    declare_torchvision_operators,
    torchvision_needs_help,
)

from .pack import ROOT, load_pack
from .untranslated import untranslated

HOST = ROOT / ".hosts" / "0.30.0"
CONTROL = "control after generate"
ENGLISH = ROOT / "locales" / "en"


def schemas(host: Path) -> list[Any]:
    """The schema of every node of the pack, in the order of the extension's list."""
    sys.argv = [sys.argv[0], "--cpu"]  # ComfyUI reads the command line when it is imported
    sys.path.insert(0, str(host))
    if torchvision_needs_help():
        declare_torchvision_operators()
    import comfy.options

    comfy.options.enable_args_parsing()
    extension = asyncio.run(load_pack().comfy_entrypoint())
    return [node.GET_SCHEMA() for node in asyncio.run(extension.get_node_list())]


def words(schema: Any) -> dict[str, Any]:
    """The entry of one node: {display_name, description, inputs: {id: ...}, outputs: {index: ...}}."""
    entry: dict[str, Any] = {"display_name": schema.display_name, "description": schema.description}
    entry["inputs"] = {
        shown.id: {"name": shown.display_name or shown.id, "tooltip": shown.tooltip}
        for shown in schema.inputs
    }
    if any(getattr(shown, "control_after_generate", None) for shown in schema.inputs):
        entry["inputs"]["control_after_generate"] = {"name": CONTROL}  # the frontend's own widget
    entry["outputs"] = {
        str(at): {"name": shown.display_name or shown.id or shown.io_type, "tooltip": shown.tooltip}
        for at, shown in enumerate(schema.outputs)
    }
    return entry


def present(value: Any) -> Any:
    """The same without what is empty: an output node has no outputs, an output need not have a tooltip."""
    if not isinstance(value, dict):
        return value
    return {key: present(part) for key, part in value.items() if part}


def link_types(made: list[Any]) -> list[str]:
    """The pack's own kinds of links, in the order in which nodes bring them."""
    kinds = dict.fromkeys(output.io_type for shown in made for output in shown.outputs)
    return [kind for kind in kinds if kind.startswith("AR_")]


def english(made: list[Any]) -> dict[str, dict[str, Any]]:
    """The files of `locales/en/`: {name: contents}."""
    parts = dict.fromkeys(part for shown in made for part in shown.category.split("/"))
    return {
        "nodeDefs.json": {one.node_id.replace(".", "_"): present(words(one)) for one in made},
        "main.json": {
            "nodeCategories": {part: part for part in parts},
            "dataTypes": {kind: kind for kind in link_types(made)},  # an output named as its type
        },
    }


def offered(made: list[Any]) -> list[tuple[str, list[Any]]]:
    """The lists to choose from of all nodes: (input, choices)."""
    shown = (shown for one in made for shown in one.inputs)
    return [(one.id, list(one.options)) for one in shown if getattr(one, "options", None)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a file is not up to date")
    parser.add_argument("--host", type=Path, default=HOST, help="a folder with ComfyUI's main.py")
    arguments = parser.parse_args()
    if not (arguments.host / "main.py").is_file():
        parser.error(f"no ComfyUI in {arguments.host}: name its folder with --host")
    stale, made = 0, schemas(arguments.host.resolve())
    for name, contents in english(made).items():
        path, text = ENGLISH / name, json.dumps(contents, indent=2, ensure_ascii=False) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
        print(f"{'out of date' if arguments.check else 'written'}: {path.relative_to(ROOT)}")
    for language, lacking in untranslated(offered(made)).items():
        print(f"{language}: still English: {'; '.join(lacking)}")
    return stale if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
