"""The import law: which folder may import which. Read from the import statements, so nothing has to run."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ar_guidance.tests.threads import ALONE, TEAM

ROOT = Path(__file__).resolve().parents[1]
OURS = {"guidance", "analysis", "models", "sampling", "loaders", "conditioning", "imaging", "nodes"}
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
    "analysis": {"analysis", "guidance"},
    "conditioning": {"conditioning", "sampling", "loaders", "models"},
    "imaging": {"imaging", "analysis", "guidance", "sampling", "loaders", "models"},
    "nodes": OURS,
}
HOST_ALLOWED = {"loaders", "nodes"}
HOST_FREE = {"conditioning", "imaging"}
HOST_BOUND_LOADERS = {
    "place.py",
    "eight_bit.py",
    "layers.py",
    "checkpoint.py",
    "encoders.py",
}  # the others open files without a host


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
                free = folder == "loaders" and path.name not in HOST_BOUND_LOADERS
                assert not free, f"{path.name} must stay free of the host"
        elif level > depth:  # reaches the pack's root: the first name is one of our folders
            assert top in MAY[folder], f"{folder} must not import {top}"
            if top == "loaders" and folder in HOST_FREE:
                assert f"{module.split('.')[-1]}.py" not in HOST_BOUND_LOADERS, (
                    f"{module} needs a host"
                )


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


def dependencies(path: Path) -> set[Path]:
    """The files of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = path.parents[node.level - 1]
        target = base.joinpath(*(node.module or "").split("."))
        for name in [alias.name for alias in node.names]:
            options = (target / f"{name}.py", target.with_suffix(".py"), target / "__init__.py")
            found |= {next((option for option in options if option.is_file()), path)} - {path}
    return found


@cache
def needs_host(path: Path) -> bool:
    """Whether a file imports the host's modules, itself or through others."""
    own = any(level == 0 and module.split(".")[0] in HOST for level, module in imports(path))
    return own or any(needs_host(other) for other in dependencies(path))


COUNTED = """
import importlib, json, sys
import tools
from ar_guidance.tests.threads import counted
print(json.dumps(counted(lambda: [importlib.import_module(name) for name in sys.argv[1:]])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_importing_computes_nothing_in_parallel() -> None:
    """A host imports in one thread and runs prompts in another; if both computed in parallel, OpenMP's threads would sleep
    at every wait (`findings/openmp-second-thread-sleeps.sh`). What needs a host: `tests/hosts/test_import_threads.py`."""
    free = [path.relative_to(ROOT).with_suffix("") for path in files() if not needs_host(path)]
    assert {path.parts[0] for path in free} == OURS
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, *(".".join(("ar_guidance", *path.parts)) for path in free)],
        cwd=ROOT,
        env={**os.environ, **ALONE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after, parallel = json.loads(done.stdout)
    assert after == before
    assert parallel == after + TEAM - 1  # such an operation would have been seen


def test_no_file_imports_itself_through_others() -> None:
    graph = {path: dependencies(path) for path in files()}
    while True:
        free = {path for path, needs in graph.items() if not needs & graph.keys()}
        if not free:
            break
        graph = {path: needs for path, needs in graph.items() if path not in free}
    assert not graph, f"import cycle among {sorted(str(p.relative_to(ROOT)) for p in graph)}"


@pytest.mark.parametrize("path", sorted((ROOT / "nodes" / "execution").glob("*.py")))
def test_execution_knows_no_node(path: Path) -> None:
    allowed = {"types.py", "compat.py"}
    for other in dependencies(path):
        assert other.parent != ROOT / "nodes" or other.name in allowed, f"{path.name}: {other.name}"


def test_link_types_know_no_node_and_no_execution() -> None:
    nodes = ROOT / "nodes"
    for other in dependencies(nodes / "types.py"):
        assert nodes not in other.parents, f"types.py imports {other.relative_to(ROOT)}"


def test_no_file_is_looked_for_beside_the_host_s() -> None:
    """`__file__` of a module of the host's: some installations have none, and folders move from version to version."""
    for path in files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        of_others = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("__file__", "__path__")
        ]
        assert not of_others, (path, of_others)


PURE = [path for path in files() if path.relative_to(ROOT).parts[0] in ("models", "guidance")]
BETWEEN_CALLS = ("ContextVar", "contextvars.ContextVar", "threading.local")
CHANGES = {
    "append",
    "extend",
    "insert",
    "add",
    "update",
    "setdefault",
    "pop",
    "popitem",
    "clear",
    "remove",
}


def kept_between_calls(tree: ast.Module) -> list[str]:
    """What a module keeps from one call to the next: context variables, `global`, and names of its own that functions change."""
    plain = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [t for n in plain for t in (n.targets if isinstance(n, ast.Assign) else [n.target])]
    own = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    found = []
    for node in ast.walk(tree):
        changed: ast.expr | None = None
        named = isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in BETWEEN_CALLS
        if named or isinstance(node, ast.Global):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.value if node.func.attr in CHANGES else None
        elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        if isinstance(changed, ast.Name) and changed.id in own:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_tensors_only_no_state_of_a_module(path: Path) -> None:
    kept = kept_between_calls(ast.parse(path.read_text(encoding="utf-8")))
    assert not kept, f"give it by argument, or declare it as a field: {kept}"


@pytest.mark.parametrize(
    "text",
    [
        "_side: ContextVar[int] = ContextVar('side')",
        "x = contextvars.ContextVar('x')",
        "_here = threading.local()",
        "_made = 0\ndef f():\n    global _made\n    _made += 1",
        "_seen: list[int] = []\ndef f(x):\n    _seen.append(x)",
        "_by = {}\ndef f(x):\n    _by[x] = 1",
        "_by = {}\ndef f(x):\n    del _by[x]",
        "_now = Settings()\ndef f(x):\n    _now.side = x",
    ],
)
def test_state_of_a_module_would_be_seen(text: str) -> None:
    assert kept_between_calls(ast.parse(text))
