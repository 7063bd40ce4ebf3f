"""Start ComfyUI's main.py in this process, repairing what a CPU-only torch leaves missing.

    python launch_host.py [--stop-with-stdin] HOST_DIR [ComfyUI arguments...]

The prebuilt torchvision is linked against CUDA. Beside a CPU build of torch its library does not load, and
then torchvision cannot even be imported, because it registers Python implementations for operators which
that library would have declared. Declaring those operators first is enough: ComfyUI imports torchvision but
never calls them. With any other torch nothing is imported here, as ComfyUI sets up CUDA before it does so.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
import threading
from importlib.metadata import version
from pathlib import Path

NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision_needs_help() -> bool:
    """Whether torch is a CPU build that cannot load torchvision's compiled operators."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or not version("torch").endswith("+cpu"):
        return False
    import torch

    try:
        for library in Path(spec.origin).parent.glob("_C*"):
            torch.ops.load_library(str(library))
    except OSError:
        return True
    return False


def declare_torchvision_operators() -> None:
    """Declare, without implementing, the operators that torchvision's Python code refers to on import."""
    import torch

    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):  # once in a process
            torch.library.define(f"torchvision::{name}", NMS_SCHEMA)


def stop_with_stdin() -> None:
    """End this process when standard input closes, so that no host outlives the program that started it."""

    def wait() -> None:
        while sys.stdin.buffer.read(1):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str]) -> None:
    """Run HOST_DIR/main.py as the main program."""
    if arguments[0] == "--stop-with-stdin":
        stop_with_stdin()
        arguments = arguments[1:]
    host = Path(arguments[0]).resolve()
    if torchvision_needs_help():
        declare_torchvision_operators()
    os.chdir(host)
    sys.path[0] = str(host)
    sys.argv = [str(host / "main.py"), *arguments[1:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
