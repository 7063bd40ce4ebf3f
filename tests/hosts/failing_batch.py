"""Run inside a host's Python path: a batch in two parts whose second part runs out of memory, or is stopped otherwise.

    python tests/hosts/inside.py failing_batch HOST_FOLDER TEMP_FOLDER TRANSFORMER TOKENIZER

Prints the kind and the text of the error a user would see; then what becomes of batches that do not fit, by what their
allocator says; then, line by line, what comes of other ways to stop where finished images are to be handed on.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import comfy.model_management as mm
import folder_paths
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.models.parts.cache import KVCache
from ar_guidance.nodes.condition import ARClassCondition
from ar_guidance.nodes.execution import run
from ar_guidance.nodes.execution.batches import Finished
from ar_guidance.nodes.execution.probe import ScaleSearch
from ar_guidance.nodes.execution.rescue import collect_images
from ar_guidance.nodes.sample import ARDecode, ARSampler
from ar_guidance.nodes.types import Sampling

temp, transformer, tokenizer = sys.argv[1:]

folder_paths.set_temp_directory(temp)
model = load_model(transformer, tokenizer)
condition = ARClassCondition.execute(model, "", "3").args[0]
settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
sampling = ARSampler.execute(model, condition, seed=1, batch_size=69, **settings).args[0]
sample, calls = run.sample, []

# What an allocator that has no more raises: the type that both hosts know, and PyTorch's own words where it has no type.
KINDS = [
    (mm.OOM_EXCEPTION, "no memory left"),
    (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
    (RuntimeError, "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"),
    (RuntimeError, "could not create a primitive"),  # oneDNN's, for the code it makes
    (RuntimeError, "MPS backend out of memory (MPS allocated: 9 GB)"),
]
if hasattr(mm, "is_oom"):
    KINDS.append((mm.ACCELERATOR_ERROR, "CUDA error: out of memory"))
allocated = KVCache.__init__


@dataclass
class Memory:
    """A stand-in for a device that has room for the keys and values of so many rows."""

    room: int
    error: tuple[type[Exception], str] = KINDS[0]
    asked: list[int] = field(default_factory=list)


def allocate(self: KVCache, layers: int, rows: int, *rest: object, **more: object) -> None:
    memory.asked.append(rows)
    if rows > memory.room:
        raise memory.error[0](memory.error[1])
    allocated(self, layers, rows, *rest, **more)


def decoded(sampling: Sampling) -> tuple:
    with torch.inference_mode():
        return ARDecode.execute(sampling).args


def failure(run: Callable[[], object]) -> str:
    with torch.inference_mode():
        try:
            run()
        except Exception as error:
            return f"{type(error).__name__}: " + " ".join(str(error).split())
    return "did not fail"


def second_fails(*arguments: object) -> object:
    calls.append(arguments)
    if len(calls) > 1:  # the second part, and its first half
        raise torch.OutOfMemoryError("no memory left")
    return sample(*arguments)


run.sample = second_fails
with torch.inference_mode():
    try:
        ARDecode.execute(sampling)
    except torch.OutOfMemoryError as error:
        print(f"{type(error).__name__}: {error}")


run.sample = sample
small = ARSampler.execute(model, condition, seed=1, batch_size=3, **settings).args[0]
whole = decoded(small)
KVCache.__init__ = allocate
for error in KINDS:
    memory = Memory(2, error)
    halves = decoded(small)
    same = all(torch.equal(a, b) for a, b in zip(whole[2].steps, halves[2].steps, strict=True))
    print(f"{memory.asked}: {'the same tokens' if same else 'other tokens'}")
memory = Memory(0)
for free in (1 << 40, 0):
    mm.get_free_memory = lambda device, free=free: free
    for batch in (4, 1):
        one = ARSampler.execute(model, condition, seed=1, batch_size=batch, **settings).args[0]
        print(failure(lambda one=one: ARDecode.execute(one)))
memory = Memory(0, (RuntimeError, "shapes do not fit"))
print(failure(lambda: ARDecode.execute(small)), memory.asked)
memory = Memory(4)
guided = replace(small, guidances=(CFG(2.0),))
with torch.inference_mode():
    found = ScaleSearch(guided, 2.0, 4.0, 4, 3, True, None).run()
print(f"{len(found.probes[0].images)} images probed as {memory.asked[:3]} rows")
KVCache.__init__ = allocated

for stop in (ValueError, mm.InterruptProcessingException, KeyboardInterrupt, SystemExit):
    first = Finished(torch.zeros(1, 8, 8, 3), None, None)  # pyright: ignore[reportArgumentType]
    finished = iter([first])

    def make(part: object, finished=finished, stop=stop) -> Finished:
        for one in finished:
            return one
        raise stop

    try:
        handed_on = collect_images(make, [sampling, sampling], hand_on=True, tell=lambda note: None)
        print(f"{stop.__name__}: {'handed on' if handed_on is first else handed_on}")
    except BaseException as error:
        print(f"{stop.__name__}: raised {type(error).__name__}")
