"""Train the bundled emoji models: one command, resumable, CPU or CUDA.

    python -m tools.train_bundled                      # everything, in .bundled-work/
    python -m tools.train_bundled --only tokenizer     # one part
    python -m tools.train_bundled --modules DIR        # icon packages already downloaded

Parts, in order: data, tokenizer, decoder (more training of the tokenizer's decoder, tokens fixed),
classifier, transformer, onward (more training of the transformer; without a checkpoint of the part before, of the
file in --weights: --only onward), token_codec and token_transformer (the token-wise model), release (writes the
files of `bundled/` and the tests' classifier).
Running the command again goes on from the last checkpoint. Then `python -m tools.bundled.evaluate`
prints the table and `python -m tools.bundled.pictures` draws the images of the model card.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from pathlib import Path

from .bundled import data, workers
from .bundled.classifier import (
    ClassifierRecipe,
    load_classifier,
    store_classifier,
    store_reference,
    train_classifier,
)
from .bundled.onward import VARIANTS, OnwardRecipe, newest_weights, starting_weights, train_onward
from .bundled.release import (
    release_token_codec,
    release_token_transformer,
    release_tokenizer,
    release_transformer,
)
from .bundled.sample import load_pair
from .bundled.token_codec import TokenCodecRecipe, TokenCodecTraining, train_token_codec
from .bundled.token_transformer import (
    TokenTransformerRecipe,
    tokenise,
    train_token_transformer,
    trained_token_weights,
)
from .bundled.tokenizer import TokenizerRecipe, train_tokenizer, trained_tokenizer
from .bundled.tokens import load_or_make
from .bundled.transformer import TransformerRecipe, train_transformer
from .pack import ROOT

PARTS = (
    "data",
    "tokenizer",
    "decoder",
    "classifier",
    "transformer",
    "onward",
    "token_codec",
    "token_transformer",
    "release",
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=ROOT / ".bundled-work")
    parser.add_argument("--modules", type=Path, help="a node_modules folder with the packages")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--workers", type=int, default=2, help="processes on a CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variants", type=int, default=8, help="token variants a drawing")
    parser.add_argument("--token-variants", type=int, default=8, help="for the token-wise model")
    parser.add_argument("--weights", type=Path, default=ROOT / "bundled")
    parser.add_argument(
        "--classifier", type=Path, default=ROOT / "tests" / "bundled" / "classifier.safetensors"
    )
    return parser.parse_args()


def prepare_data(options: argparse.Namespace) -> data.Drawings:
    """The drawings, downloaded and rasterised on the first call."""
    target = options.work / "drawings.npz"
    if not target.exists():
        modules = options.modules or data.fetch_packages(options.work / "packages")
        print(data.summary(data.prepare(modules, target)), flush=True)
    return data.prepare(options.modules, target)


def tokenizer(options: argparse.Namespace, drawings: data.Drawings, *, decoder: bool) -> None:
    """Stages 1 to 3, or the decoder stage."""
    recipe = TokenizerRecipe()
    last = recipe.token_steps + (recipe.decoder_steps if decoder else 0)
    count = options.workers if options.device == "cpu" else 1
    job = (drawings, options.work, recipe, options.device, last)
    workers.launch(train_tokenizer, count, *job)


def transformer(options: argparse.Namespace, drawings: data.Drawings) -> None:
    """Tokens of all drawings, then the transformer."""
    codec = trained_tokenizer(options.work).to(options.device)
    path = options.work / "tokens.pt"
    count = options.workers if options.device == "cpu" else 1
    tokens = load_or_make(codec, drawings, path, options.variants, count)
    job = (drawings, codec, tokens, options.work, TransformerRecipe(), options.device)
    workers.launch(train_transformer, count, *job)


def onward(options: argparse.Namespace, drawings: data.Drawings) -> None:
    """The transformer's second course, on the tokenizer of `work` or, where there is none, the released one."""
    trained = (options.work / "tokenizer.pt").exists()
    codec = trained_tokenizer(options.work) if trained else load_pair(options.weights)[0]
    count = options.workers if options.device == "cpu" else 1
    path = options.work / "tokens_onward.pt"
    tokens = load_or_make(codec.to(options.device), drawings, path, VARIANTS, count)
    start = starting_weights(options.work, options.weights)
    job = (start, drawings, codec, tokens, options.work, OnwardRecipe(), options.device)
    workers.launch(train_onward, count, *job)


def token_codec(options: argparse.Namespace, drawings: data.Drawings) -> None:
    """The codec of the token-wise model."""
    job = (drawings, options.work, TokenCodecRecipe(), options.device)
    workers.launch(train_token_codec, options.workers if options.device == "cpu" else 1, *job)


def token_transformer(options: argparse.Namespace, drawings: data.Drawings) -> None:
    """One token grid a drawing and variant, then the token-wise transformer."""
    codec = trained_tokenizer(options.work, TokenCodecTraining).to(options.device)
    path, count = options.work / "token_tokens.pt", options.workers
    count = count if options.device == "cpu" else 1
    tokens = load_or_make(codec, drawings, path, options.token_variants, count, tokenise)
    job = (drawings, codec, tokens, options.work, TokenTransformerRecipe(), options.device)
    workers.launch(train_token_transformer, count, *job)


def release(options: argparse.Namespace, drawings: data.Drawings) -> None:
    """Write what has been trained so far, whole files only; where nothing has, the released file stays."""
    work, target = options.work, options.weights
    trained = {path.name for path in work.glob("*.pt")}
    if "tokenizer.pt" in trained:
        release_tokenizer(work, target)
    if trained & {"transformer.pt", "transformer_onward.pt"}:
        release_transformer(newest_weights(work), target)
    if "token_codec.pt" in trained:
        release_token_codec(work, target)
    if "token_transformer.pt" in trained:
        release_token_transformer(trained_token_weights(work), target)
    if "classifier.pt" in trained:
        store_classifier(work, options.classifier)
        reference = options.classifier.with_name("reference.safetensors")
        store_reference(load_classifier(options.classifier), drawings, reference)


def main() -> None:
    """Run the parts asked for."""
    options = arguments()
    wanted = PARTS if options.only is None else (options.only,)
    drawings = prepare_data(options)
    if "tokenizer" in wanted:
        tokenizer(options, drawings, decoder=False)
    if "decoder" in wanted:
        tokenizer(options, drawings, decoder=True)
    if "classifier" in wanted:
        train_classifier(drawings, options.work, ClassifierRecipe(), options.device)
    if "transformer" in wanted:
        transformer(options, drawings)
    if "onward" in wanted:
        onward(options, drawings)
    if "token_codec" in wanted:
        token_codec(options, drawings)
    if "token_transformer" in wanted:
        token_transformer(options, drawings)
    if "release" in wanted:
        release(options, drawings)


if __name__ == "__main__":
    main()
