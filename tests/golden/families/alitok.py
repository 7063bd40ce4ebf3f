"""Golden cases of AliTok, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

CPU = torch.device("cpu")


def run(case: Any) -> None:
    with torch.inference_mode():
        facts = case.facts["config"]
        part = find_part(read_weights(case.file("transformer")), "transformer")
        assert part.config.heads == facts["transformer"]["num_attention_heads"]
        assert part.config.classes == facts["transformer"]["condition_num_classes"]
        network = build(part, part.config)
        codec = load_tokenizer(case, facts["tokenizer"])
        assert network.config.length == facts["transformer"]["image_seq_len"]
        guidance = case.facts["guidance"]
        cfg = CFG(
            scale=guidance["guidance_scale"],
            schedule="cosine power",
            power=guidance["guidance_scale_pow"],
        )
        check_guided(case, network, codec, cfg)
        if case.has("run_nocfg.tokens"):
            steps, tokens = generate_greedy(case, network, ())
            logits = torch.cat([step.cond for step in steps], 1)
            case.close("run_nocfg.logits", logits, case.tolerance("logits_cond"))
            case.equal("run_nocfg.tokens", tokens)
        check_encoder(case, codec)


def build(part: Any, config: Any) -> Any:
    """A network as the loaders build it, in fp32."""
    network = part.family.build(config).eval()
    network.load_state_dict(part.tensors, strict=False)
    return network


def load_tokenizer(case: Any, facts: dict[str, Any]) -> Any:
    """The tokenizer; its head counts are not in the file."""
    part = find_part(read_weights(case.file("tokenizer")), "tokenizer")
    return build(
        part,
        replace(
            part.config,
            encoder=replace(part.config.encoder, heads=facts["enc_heads"]),
            decoder=replace(part.config.decoder, heads=facts["dec_heads"]),
        ),
    )


def generate_greedy(case: Any, network: Any, guidances: tuple) -> tuple[list, torch.Tensor]:
    steps = []
    labels = torch.tensor(case.facts["inputs"]["class_ids"])
    job = TokenwiseJob(
        conditions=(labels, network.null_condition(len(labels))),
        batch=len(labels),
        run=RunInfo("token", ((1, 1),) * case.facts["sampling"]["steps"]),
        chain=Chain(guidances),
        draw=lambda logits: logits.argmax(-1),
    )
    result = generate(network, job, CPU, on_step=steps.append)
    return steps, result.tokens


def check_guided(case: Any, network: Any, codec: Any, cfg: CFG) -> None:
    steps, tokens = generate_greedy(case, network, (cfg,))
    run = RunInfo("token", ((1, 1),) * len(steps))
    gamma = torch.tensor([cfg.gamma(k, run) for k in range(len(steps))])
    case.close("cfg_per_step", gamma, case.tolerance("cfg_per_step"))
    tolerance = case.tolerance("logits_cond")
    case.close("logits_cond", torch.cat([step.cond for step in steps], 1), tolerance)
    case.close("logits_uncond", torch.cat([step.uncond for step in steps], 1), tolerance)
    guided = torch.cat([step.guided for step in steps], 1)
    case.close("guided", guided, tolerance * (2 * gamma[:, None] - 1))
    case.equal("tokens", tokens)
    codes = codec.lookup(tokens, network.config.grid)
    case.close("f_hat", codes, case.tolerance("image"))
    case.close("image", codec.decode_raw(codes), case.tolerance("image"))
    assert codec.decode(codes).min() < 0


def check_encoder(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    features = codec.encode_features(case.input("enc.image") * 2 - 1)
    case.close("enc.latent", features, case.tolerance("enc.latent"))
    tokens = codec.nearest_code(features)
    case.equal("enc.tokens", tokens)
    image = codec.decode_raw(codec.lookup(tokens, (1, tokens.shape[1])))
    case.close("enc.reconstruction", image, case.tolerance("enc.reconstruction"))
