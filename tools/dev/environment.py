"""The virtual environment `.venv`: torch for this machine, and everything pinned in `pins/`.

A stamp file, written last, holds a hash of all that decides the contents. A run that finds it unchanged
installs nothing; a run that was interrupted left no stamp, so the next one installs again, and pip skips
what is already there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from .console import ROOT, Problem, run_quietly, say

VENV = ROOT / ".venv"
PINS = Path(__file__).parent / "pins"
CONSTRAINTS = ("-c", PINS / "constraints.txt")
STAMP = VENV / "dev-stamp"
OLDEST_PYTHON = (3, 10)
TORCH = "2.13.0"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


def python_path() -> Path:
    """The interpreter of the environment."""
    return scripts_folder() / ("python.exe" if os.name == "nt" else "python")


def scripts_folder() -> Path:
    """Where the environment keeps its programs (pytest, ruff, ...)."""
    return VENV / ("Scripts" if os.name == "nt" else "bin")


def has_cuda() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    program = shutil.which("nvidia-smi")
    return (
        program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0
    )


def prepare_environment() -> Path:
    """Make or repair `.venv`; the path of its interpreter."""
    cuda = has_cuda()
    stamp = expected_stamp(cuda)
    if STAMP.is_file() and STAMP.read_text() == stamp and python_path().exists():
        return python_path()
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(str(part) for part in OLDEST_PYTHON)
        raise Problem(
            f"this is Python {platform.python_version()}; the pinned packages need {wanted} or newer"
        )
    STAMP.unlink(missing_ok=True)
    make_venv()
    install_torch(cuda)
    install_pins()
    remove_torchaudio_libraries()
    STAMP.write_text(stamp)
    return python_path()


def expected_stamp(cuda: bool) -> str:
    """A hash of the pins, the Python version and the kind of torch."""
    digest = hashlib.sha256(f"{TORCH} {cuda} {sys.version_info[:2]} {platform.machine()}".encode())
    for name in ("host.txt", "host-nodeps.txt", "evaluate.txt", "test.txt", "constraints.txt"):
        digest.update((PINS / name).read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """Create the environment, or create it again if its interpreter or pip does not run."""
    if VENV.exists() and not pip_works():
        say("repairing .venv (it was left half made)")
        shutil.rmtree(VENV)
    if not VENV.exists():
        say(f"creating .venv with Python {platform.python_version()}")
        try:
            venv.create(VENV, with_pip=True, symlinks=os.name != "nt")
        except subprocess.CalledProcessError as error:
            raise Problem(
                "cannot create a virtual environment; on Debian or Ubuntu: apt install python3-venv"
            ) from error


def pip_works() -> bool:
    """Whether the environment has a pip that runs, under the Python version that `dev.py` itself runs on."""
    check = "import pip, sys; print(*sys.version_info[:2])"
    try:
        result = subprocess.run([python_path(), "-c", check], capture_output=True, text=True)
    except OSError:
        return False
    return result.returncode == 0 and result.stdout.split() == [
        str(part) for part in sys.version_info[:2]
    ]


def torch_requirements(cuda: bool) -> list[list[str]]:
    """The pip arguments to try in turn.

    On Linux the default wheel is a CUDA build of several gigabytes, so without a GPU the CPU build is asked
    for first: from wherever pip is set up to look, then from PyTorch's own index.
    """
    if sys.platform != "linux":
        return [[f"torch=={TORCH}"]]
    if cuda:
        return [[f"torch=={TORCH},!={TORCH}+cpu"]]
    build = f"torch=={TORCH}+cpu"
    return [[build], [build, "--extra-index-url", CPU_WHEELS], [f"torch=={TORCH}"]]


def install_torch(cuda: bool) -> None:
    """Install torch before anything that depends on it, so that nothing else chooses the build."""
    say(f"installing torch {TORCH} ({'CUDA' if cuda else 'CPU'} build)")
    *preferred, last = torch_requirements(cuda)
    for arguments in preferred:
        try:
            pip_install(*arguments, *CONSTRAINTS)
            return
        except Problem as problem:  # a network that fails must not end in a download of gigabytes
            if "No matching distribution" not in str(problem):
                raise
    pip_install(*last, *CONSTRAINTS)


def install_pins() -> None:
    """Install ComfyUI's Python packages and the tools of the test suite."""
    say("installing ComfyUI's requirements and the test tools")
    pip_install("-r", PINS / "host.txt", "-r", PINS / "test.txt", *CONSTRAINTS)
    pip_install("--no-deps", "-r", PINS / "host-nodeps.txt", "-r", PINS / "evaluate.txt")


def pip_install(*arguments: str | Path) -> None:
    """Run `pip install` in the environment."""
    wanted = " ".join(str(part) for part in arguments if not str(part).startswith("-"))
    run_quietly(
        [python_path(), "-m", "pip", "install", "--no-input", *arguments],
        f"pip install {wanted}",
    )


def remove_torchaudio_libraries() -> None:
    """Delete torchaudio's compiled part, which is linked against another torch; ComfyUI needs only the rest."""
    for folder in VENV.glob("**/site-packages/torchaudio/lib"):
        for pattern in ("*.so", "*.pyd", "*.dll", "*.dylib"):
            for library in folder.glob(pattern):
                library.unlink()
