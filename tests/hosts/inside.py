"""Run one of the scripts beside this one inside a host's Python path, where the host and the pack can be imported.

    python tests/hosts/inside.py SCRIPT HOST_FOLDER [ARGUMENT ...]

SCRIPT: its name without ".py". It finds its arguments in `sys.argv[1:]`.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def enter(host_folder: str) -> None:
    """Make the host and the pack importable, on the CPU."""
    sys.path[0] = host_folder
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


if __name__ == "__main__":
    script, host_folder, *arguments = sys.argv[1:]
    enter(host_folder)
    sys.argv = [script, *arguments]
    runpy.run_module(f"ar_guidance.tests.hosts.{script}", run_name="__main__")
