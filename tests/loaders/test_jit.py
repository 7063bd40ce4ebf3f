"""TorchScript archives: read as weights, never run; what is refused."""

import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.jit import archive_tensors
from ar_guidance.loaders.read import CheckpointError, read_weights
from torch import nn

COSMOS = Path(__file__).resolve().parents[1] / (
    "golden/cases/simplear/untied/Cosmos-1.0-Tokenizer-DV8x16x16"
)


class Nested(nn.Module):
    """Parameters, buffers, shared and sliced storages, plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList((nn.Linear(3, 2), nn.Conv2d(2, 1, 1).half()))
        self.sizes, self.name, self.rate = [1, 2], "text", 0.5
        whole = torch.arange(12.0)
        self.register_buffer("tail", whole[5:].view(7))
        self.register_buffer("turned", whole[:6].view(2, 3).T)
        self.register_buffer("empty", torch.empty(0, 4, dtype=torch.int32))
        self.register_buffer("flag", torch.tensor(True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.tail.sum() * self.rate + len(self.name) + self.sizes[0]


@pytest.mark.parametrize("compile", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(1))])
def test_tensors_are_those_of_the_state(tmp_path, compile) -> None:
    module = compile(Nested())
    path = tmp_path / "any.jit"
    torch.jit.save(module, str(path))
    found = archive_tensors(path)
    assert list(found) == list(module.state_dict())
    for key, value in module.state_dict().items():
        assert torch.equal(found[key], value) and found[key].dtype == value.dtype


def test_both_halves_are_one_tokenizer() -> None:
    for half in ("encoder.jit", "decoder.jit"):
        part = find_part(read_weights(COSMOS / half), "tokenizer")
        assert part.family.name == "cosmos_dv" and part.config.stem == 8
        assert part.config.levels == (8, 5, 3)


def test_the_decoder_alone_decodes(tmp_path) -> None:
    shutil.copy(COSMOS / "decoder.jit", tmp_path)
    part = find_part(read_weights(tmp_path / "decoder.jit"), "tokenizer")
    codec = part.family.build(part.config).eval()
    codec.load_state_dict(part.tensors)
    tokens = torch.arange(6)[None]
    with torch.inference_mode():
        assert codec.decode(codec.lookup(tokens, (2, 3))).shape == (1, 3, 32, 48)
        with pytest.raises(ValueError, match=r"put encoder\.jit beside decoder\.jit"):
            codec.encode(torch.zeros(1, 3, 32, 48))


# --- what is refused, and how -----------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        find_part(read_weights(path), "tokenizer")
    first = str(caught.value).splitlines()[0]
    assert first.startswith(path.name), "the first line names the file"
    return first


def rewritten(path: Path, changes: dict[str, bytes], compress: str = "") -> Path:
    """The golden decoder with some of its entries replaced, or one compressed."""
    with zipfile.ZipFile(COSMOS / "decoder.jit") as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            name = entry.filename.partition("/")[2]
            kind = zipfile.ZIP_DEFLATED if name == compress else entry.compress_type
            target.writestr(entry.filename, changes.get(name, source.read(entry)), kind)
    return path


class Malice:
    """A pickle that would write a file when it is opened in the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_that_a_file_names_is_called(tmp_path) -> None:
    mark = tmp_path / "ran"
    data = pickle.dumps(Malice(mark), protocol=2)
    assert "neither a module nor a tensor" in refusal(
        rewritten(tmp_path / "a.jit", {"data.pkl": data})
    )
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the trap itself works"


def test_the_program_is_not_even_looked_at(tmp_path) -> None:
    program = {
        name.partition("/")[2]: b"raise SystemExit"
        for name in zipfile.ZipFile(COSMOS / "decoder.jit").namelist()
        if "/code/" in name
    }
    assert len(program) > 10
    path = rewritten(tmp_path / "a.jit", program)
    assert len(archive_tensors(path)) == len(archive_tensors(COSMOS / "decoder.jit"))


def test_archives_that_are_none(tmp_path) -> None:
    path = tmp_path / "a.jit"
    path.write_bytes(b"<html>not found</html>")
    assert "but a web page" in refusal(path)
    torch.save({"decoder.weight": torch.ones(2)}, path)
    assert "no known tokenizer" in refusal(path)
    path.write_bytes((COSMOS / "decoder.jit").read_bytes()[:200_000])
    assert "not a complete weight file" in refusal(path)
    assert "no such file" in refusal(tmp_path / "missing.jit")


def test_another_network(tmp_path) -> None:
    path = tmp_path / "a.jit"
    torch.jit.save(torch.jit.script(Nested()), str(path))
    assert "no known tokenizer" in refusal(path)


def test_the_encoder_alone(tmp_path) -> None:
    shutil.copy(COSMOS / "encoder.jit", tmp_path)
    assert "decoder.jit is missing beside it" in refusal(tmp_path / "encoder.jit")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("data.pkl", b"", "cannot be read"),
        ("data.pkl", b"\x80\x02}q\x00K\x01K\x02s.", "no known tokenizer"),
        ("data/5", b"\x00\x00", "larger than its storage"),
        ("byteorder", b"big", "byte order"),
    ],
)
def test_damage(tmp_path, name, content, reason) -> None:
    assert reason in refusal(rewritten(tmp_path / "a.jit", {name: content}))


def test_compressed_numbers(tmp_path) -> None:
    assert "compressed" in refusal(rewritten(tmp_path / "a.jit", {}, "data/5"))


def test_a_tree_that_contains_itself(tmp_path) -> None:
    # A module whose attribute "a" is the module: GLOBAL, empty arguments, NEWOBJ, memo 0, {"a": memo 0}, BUILD.
    data = b"\x80\x02c__torch__\nM\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."
    assert "cannot be read" in refusal(rewritten(tmp_path / "a.jit", {"data.pkl": data}))
