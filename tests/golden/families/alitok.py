"""Golden cases of AliTok, through the loaders and the loop the nodes use."""

from dataclasses import replace
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from golden_shared import Sequence, extra_runs, guide, token_run


def run(case: Any) -> None:
    with torch.inference_mode():
        facts = case.facts["config"]
        part = find_part(read_weights(case.file("transformer")), "transformer")
        assert part.config.heads == facts["transformer"]["num_attention_heads"]
        assert part.config.classes == facts["transformer"]["condition_num_classes"]
        network = build(part, part.config)
        codec = load_tokenizer(case, facts["tokenizer"])
        assert network.config.length == facts["transformer"]["image_seq_len"]
        tokens = check_run(case, network, {}).tokens
        check_image(case, network, codec, tokens)
        if len(tokens[0]) == network.config.length:
            assert codec.decode(codec.lookup(tokens, network.config.grid)).min() < 0
        for prefix, settings in extra_runs(case):
            check_image(
                case, network, codec, check_run(case, network, settings, prefix).tokens, prefix
            )
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


def check_run(case: Any, network: Any, settings: dict[str, Any], prefix: str = "") -> Sequence:
    """A run as the case states it, the release's schedule over the whole sequence."""
    stated = {**case.facts["guidance"], **settings}
    guidance = guide(stated, stated["guidance_scale"], "cosine power")
    guidance = replace(guidance, power=stated.get("guidance_scale_pow", 1.0))
    if stated.get("scale") == 1.0 or not stated["guidance_scale"]:  # the reference's 0: no guidance
        guidance = CFG(1.0, "constant")
    labels = torch.tensor(case.facts["inputs"]["class_ids"])
    conditions = (labels, network.null_condition(len(labels)))
    steps = case.facts["sampling"]["steps"]
    made = token_run(case, network, conditions, len(labels), guidance, steps, prefix)
    made.compare(case, prefix)
    case.compare(f"{prefix}logits", made.cond, case.tolerance("logits_cond"))
    case.compare(f"{prefix}cfg_per_step", made.gamma, case.tolerance("cfg_per_step"))
    return made


def check_image(
    case: Any, network: Any, codec: Any, tokens: torch.Tensor, prefix: str = ""
) -> None:
    codes = codec.lookup(tokens, network.config.grid)
    case.compare(f"{prefix}f_hat", codes, case.tolerance("image"))
    case.compare(f"{prefix}image", lambda: codec.decode_raw(codes), case.tolerance("image"))


def check_encoder(case: Any, codec: Any) -> None:
    if not case.has("enc.image"):
        return
    features = codec.encode_features(case.input("enc.image") * 2 - 1)
    case.compare("enc.latent", features, case.tolerance("enc.latent"))
    tokens = codec.nearest_code(features)
    case.compare("enc.tokens", tokens)
    image = codec.decode_raw(codec.lookup(tokens, (1, tokens.shape[1])))
    case.compare("enc.reconstruction", image, case.tolerance("enc.reconstruction"))
