"""The beginning of every script that runs inside a host's Python path."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def enter() -> list[str]:
    """Make the host, which the first argument names, and the pack importable, on the CPU; the other arguments."""
    host_folder, *others = sys.argv[1:]
    sys.path.insert(0, host_folder)
    sys.argv = sys.argv[:1]  # the host reads its own arguments from there
    spec = importlib.util.spec_from_file_location("pack_loader", ROOT / "tools" / "pack.py")
    assert spec is not None and spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    loader.load_pack()
    from ar_guidance.tools.dev import launch_host

    if launch_host.torchvision_needs_help():
        launch_host.declare_torchvision_operators()
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    return others
