"""The parts of `dev.py` that can go wrong without a network: choosing builds, unpacking, finding browsers."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from ar_guidance.tools.dev import checks, chromium, environment, hosts
from ar_guidance.tools.dev.console import Problem
from ar_guidance.tools.dev.host_client import Result, read_event, read_frame, refusal_text


def wheel(path: Path, *names: str) -> Path:
    """A wheel whose files hold their own names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def source_archive(path: Path, *names: str) -> Path:
    """The same as a gzipped tar."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


@pytest.mark.parametrize("make, name", [(wheel, "a.whl"), (source_archive, "a.tar.gz")])
def test_unpack_keeps_one_folder(tmp_path: Path, make, name: str) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / name, "top/kept/main.py", "top/kept/deep/x.py", "top/keptnot/y.py")
    hosts.unpack(archive, "top/kept", tmp_path / "out")
    found = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.py")
    )
    assert found == ["deep/x.py", "main.py"]


def test_unpack_after_an_interruption_starts_afresh(tmp_path: Path) -> None:
    leftover = tmp_path / "out.partial" / "stale.py"
    leftover.parent.mkdir()
    leftover.write_text("half")
    hosts.unpack(wheel(tmp_path / "a.whl", "k/main.py"), "k", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["main.py"]


def test_unpack_refuses_to_leave_its_folder(tmp_path: Path) -> None:
    archive = wheel(tmp_path / "a.whl", "k/../../escaped.py")
    with pytest.raises(Problem, match="outside its folder"):
        hosts.unpack(archive, "k", tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "out").exists()


@pytest.mark.parametrize("host", (hosts.OLDEST, hosts.NEWEST), ids=("oldest", "newest"))
def test_every_archive_is_pinned_by_hash(host: hosts.Host) -> None:
    for archive in (host.server, host.frontend):
        assert isinstance(archive, hosts.Archive)
        assert len(hosts.pinned(archive.requirement)[1]) == 64


def test_a_comfyui_somewhere_is_a_host_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hosts.GIVEN_HOST, str(tmp_path))
    with pytest.raises(Problem, match="no ComfyUI lies there"):
        hosts.all_hosts()
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "9.8.7"\n')
    given = hosts.all_hosts()["9.8.7"]
    assert given.folder == tmp_path and list(hosts.all_hosts())[:2] == ["0.3.75", "0.30.0"]


def test_linux_without_a_gpu_asks_for_the_cpu_build_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.sys, "platform", "linux")
    first, *_ = environment.torch_requirements(cuda=False)
    assert first == [f"torch=={environment.TORCH}+cpu"]
    assert environment.torch_requirements(cuda=True) == [
        [f"torch=={environment.TORCH},!={environment.TORCH}+cpu"]
    ]


def test_the_stamp_depends_on_the_build() -> None:
    assert environment.expected_stamp(cuda=True) != environment.expected_stamp(cuda=False)
    assert environment.expected_stamp(cuda=True) == environment.expected_stamp(cuda=True)


def test_a_named_browser_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/somewhere/chrome")
    assert chromium.find_chromium() == "/somewhere/chrome"


def test_client_reads_messages_and_frames() -> None:
    result = Result(prompt_id="p")
    read_event("progress", {"node": "4", "value": 2, "max": 7}, result)
    read_frame(b"\0\0\0\3" + b"\0\0\0\1" + b"4" + b"scale 2/7", result)
    read_frame(b"\0\0\0\4" + b"\0\0\0\x0f" + b'{"node_id":"4"}' + b"JPEG", result)
    error = {"node_type": "ARDecode", "exception_type": "ValueError", "exception_message": "no\n"}
    read_event("execution_error", error, result)
    assert (result.progress[0].value, result.progress[0].total) == (2, 7)
    assert result.texts == [("4", "scale 2/7")]
    assert (result.previews[0].node, result.previews[0].image) == ("4", b"JPEG")
    assert (result.status, result.error) == ("error", "ARDecode: ValueError: no")


def test_images_come_in_the_order_of_their_nodes() -> None:
    outputs = {node: {"images": [{"filename": node}]} for node in ("10", "9", "21", "3")}
    result = Result(outputs=outputs | {"1": {"text": ["no image"]}})
    assert [image["filename"] for image in result.images] == ["3", "9", "10", "21"]


def test_refusal_without_node_errors_has_the_general_message() -> None:
    reply = {"error": {"message": "Prompt has no outputs", "details": ""}, "node_errors": {}}
    assert refusal_text(reply) == "Prompt has no outputs"


@pytest.mark.parametrize("broken, status", [("", 0), ("pyright", 1)])
def test_a_static_check_that_fails_is_shown_after_the_tests(
    broken: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def checked(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        said = f"what {name} says\n"
        return subprocess.CompletedProcess([name, *arguments], int(name == broken), said, "")

    monkeypatch.setattr(checks, "prepare_environment", lambda: None)
    monkeypatch.setattr(checks, "run_tool", lambda *arguments, **variables: 0)
    monkeypatch.setattr(checks, "checked", checked)
    assert checks.run_tests(fast=True, pytest_arguments=()) == status
    shown = capsys.readouterr().out
    assert ("FAILED: pyright" in shown) == bool(status) and "passed: ruff check" in shown
    assert ("what pyright says" in shown) == bool(status) and "what ruff says" not in shown
