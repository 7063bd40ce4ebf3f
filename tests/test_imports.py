"""The import law: which folder may import which. Read from the import statements, so nothing has to run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"guidance", "models", "sampling", "loaders", "nodes"}
HOST = {
    "comfy",
    "comfy_api",
    "folder_paths",
    "latent_preview",
    "server",
    "execution",
    "node_helpers",
}
MAY = {
    "guidance": {"guidance"},
    "models": {"models"},
    "sampling": {"sampling", "guidance", "models"},
    "loaders": {"loaders", "models"},
    "nodes": OURS,
}
HOST_ALLOWED = {"loaders", "nodes"}
HOST_FREE_LOADERS = {
    "read.py",
    "detect.py",
    "families.py",
    "captions.py",
    "text.py",
    "text_files.py",
    "jit.py",
    "prompts.py",
}  # golden cases load files without a host


def imports(path: Path) -> list[tuple[int, str]]:
    """(relative level, dotted module) of every import statement, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.level, name) for name in names]
    return found


def files() -> list[Path]:
    return [path for folder in sorted(OURS) for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_import_law(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    folder, depth = parts[0], len(parts) - 1
    for level, module in imports(path):
        top = module.split(".")[0]
        if level == 0:
            assert top not in OURS, f"{module}: our folders are imported relatively"
            if top in HOST:
                assert folder in HOST_ALLOWED, f"{folder} must not import {module}"
                free = folder == "loaders" and path.name in HOST_FREE_LOADERS
                free = free or parts[:2] == ("nodes", "drawing")
                assert not free, f"{path.name} must stay free of the host"
        elif level > depth:  # reaches the pack's root: the first name is one of our folders
            assert top in MAY[folder], f"{folder} must not import {top}"


def test_pack_imports_nothing_heavy() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    top_level = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert top_level == []


def test_no_device_strings_or_runtime_installs() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        for banned in (
            ".cuda()",
            '"cuda"',
            "pip install",
            "trust_remote_code",
            "weights_only=False",
        ):
            assert banned not in text, f"{path}: {banned}"
