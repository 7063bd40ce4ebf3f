"""Inside a host's Python: an image is a result. What fails beside it costs nothing, and what fails after it says where it is.

python tests/hosts/inside.py faults_inside HOST_FOLDER SCRATCH_FOLDER TRANSFORMER TOKENIZER
"""

import sys
from pathlib import Path

import folder_paths
import torch
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.nodes.condition import ARClassCondition
from ar_guidance.nodes.execution import decoding, rescue, run
from ar_guidance.nodes.sample import ARDecode, ARSampler
from ar_guidance.nodes.token_files import ARSaveTokens

scratch, transformer, tokenizer = sys.argv[1:]

folder_paths.set_temp_directory(f"{scratch}/temp")
folder_paths.set_output_directory(f"{scratch}/output")
model = load_model(transformer, tokenizer)
condition = ARClassCondition.execute(model, "", "3").args[0]
settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}


def sampling(batch: int = 1):
    return ARSampler.execute(model, condition, seed=1, batch_size=batch, **settings).args[0]


def fails(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def said(action) -> str:
    try:
        action()
    except (ValueError, torch.OutOfMemoryError) as error:
        return str(error)
    raise AssertionError("nothing was said")


with torch.inference_mode():
    wanted = ARDecode.execute(sampling()).args[0]

    # Previews, the viewer on the way, the viewer's end, the messages to the browser.
    run.wants_previews = lambda: True
    for place, name in (
        (run, "framed"),
        (run.Viewer, "__call__"),
        (run.Viewer, "live"),
        (run.Viewer, "payload"),
    ):
        own = getattr(place, name)
        setattr(place, name, fails)
        assert torch.equal(ARDecode.execute(sampling()).args[0], wanted), name
        setattr(place, name, own)

    # A decoder whose numbers are none.
    decode = type(model.tokenizer).decode
    type(model.tokenizer).decode = lambda self, features: decode(self, features) * float("nan")
    assert "are not finite numbers" in said(lambda: ARDecode.execute(sampling(), viewer="off"))
    type(model.tokenizer).decode = decode

    # The decoder's full size does not fit: in tiles, the same image.
    def short(layer: object, given: object, made: torch.Tensor) -> None:
        if made.shape[-1] > 48:
            raise torch.OutOfMemoryError("no memory left")

    convolutions = [m for m in model.tokenizer.decoder.modules() if isinstance(m, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(short) for layer in convolutions]
    decoding.SIDE = 16
    image = ARDecode.execute(sampling(), viewer="off").args[0]
    assert (image - wanted).abs().max() < 1e-4
    for hook in hooks:
        hook.remove()

    # The second part of a batch runs out of memory, and the first cannot be saved.
    rescue.ui.ImageSaveHelper.save_images = fails
    sample, calls = run.sample, []

    def second(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no memory left")
        return sample(*arguments)

    run.sample = second
    both = said(lambda: ARDecode.execute(sampling(65)))
    assert (
        "no memory left" in both
        and "No space left" in both
        and "temp" in both
        and "hand on" in both
    ), both
    run.sample = sample

    # No prefix overwrites a file.
    tokens = ARDecode.execute(sampling()).args[2]
    for prefix in ("", "tokens/", "tokens/ar", "x", " "):
        names = [ARSaveTokens.execute(tokens, prefix).ui["tokens"][0] for _ in range(3)]
        assert len({(name["subfolder"], name["filename"]) for name in names}) == 3, names
    assert len(list(Path(scratch, "output").rglob("*.safetensors"))) == 15
    for prefix in ("../out", "/etc/x", "a\0b", "x" * 5000):
        assert said(lambda prefix=prefix: ARSaveTokens.execute(tokens, prefix)).isprintable()
    assert not list(Path(scratch).rglob("*.part"))
print("all kept")
