"""What guidance costs beside its arithmetic: schedules, plans and records of a run of many tokens.

    python -m benchmarks.bookkeeping [--tokens 1024] [--repeats 9]

A chain of one CFG guides a next-token run whose logits are a single number, so that arithmetic costs next to nothing; the same
additions alone are taken off. Printed: milliseconds of processor time of a whole run, the least of the repeats. Machines differ:
nothing is asserted. The house's aim is 20 ms for 1,024 tokens.
"""

import argparse
import time

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule

LOGITS = torch.ones(2, 1, 1, 1)


def guided(run: RunInfo) -> None:
    """Everything a loop asks of a chain, at every token."""
    chain = Chain((CFG(4.0),))
    chain.needs_uncond(run)
    active = chain.begin(run)
    cond, uncond = LOGITS
    for k in range(run.count):
        active.weights(k)
        active.apply(k, cond, uncond)


def arithmetic(count: int) -> None:
    """u + gamma (c - u), as often."""
    cond, uncond = LOGITS
    for _ in range(count):
        torch.add(uncond, cond - uncond, alpha=3.0)


def bookkeeping(tokens: int, repeats: int) -> float:
    """Milliseconds of a run."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        run = RunInfo("token", ((1, 1),) * tokens, published=Schedule("cosine power", power=2.75))
        for place, part in enumerate((lambda run=run: guided(run), lambda: arithmetic(tokens))):
            started = time.process_time()
            part()
            best[place] = min(best[place], time.process_time() - started)
    return 1000 * (best[0] - best[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        print(f"{bookkeeping(given.tokens, given.repeats):.1f} ms for {given.tokens} tokens")


if __name__ == "__main__":
    main()
