"""Run inside a host's Python path: a batch in two parts whose second part runs out of memory, or is stopped otherwise.

    python failing_batch.py HOST_FOLDER TEMP_FOLDER TRANSFORMER TOKENIZER

Prints the kind and the text of the error a user would see; then, line by line, what comes of other ways to stop where
finished images are to be handed on.
"""

from inside import enter  # the script beside this one

temp, transformer, tokenizer = enter()

import comfy.model_management as mm  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from ar_guidance.loaders.checkpoint import load_model  # noqa: E402
from ar_guidance.nodes.condition import ARClassCondition  # noqa: E402
from ar_guidance.nodes.execution import run  # noqa: E402
from ar_guidance.nodes.execution.batches import Finished  # noqa: E402
from ar_guidance.nodes.execution.rescue import collect_images  # noqa: E402
from ar_guidance.nodes.sample import ARDecode, ARSampler  # noqa: E402

folder_paths.set_temp_directory(temp)
model = load_model(transformer, tokenizer)
condition = ARClassCondition.execute(model, "", "3").args[0]
settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
sampling = ARSampler.execute(model, condition, seed=1, batch_size=69, **settings).args[0]
sample, calls = run.sample, []


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

calls.clear()


def whole_fails(*arguments: object) -> object:
    calls.append(arguments)
    if len(calls) == 1:
        raise torch.OutOfMemoryError("no memory left")
    return sample(*arguments)


small = ARSampler.execute(model, condition, seed=1, batch_size=3, **settings).args[0]
run.sample = sample
with torch.inference_mode():
    whole = ARDecode.execute(small).args
    run.sample = whole_fails
    halves = ARDecode.execute(small).args
same = all(torch.equal(a, b) for a, b in zip(whole[2].steps, halves[2].steps, strict=True))
print(f"in {len(calls) - 1} halves: {'the same tokens' if same else 'other tokens'}")

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
