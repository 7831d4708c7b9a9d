"""contract.json of an exported folder: every number is the checkpoint's own, or carries its reason here."""

import json
from dataclasses import asdict

from .generated import SCHEMA, TENSORRT_PROFILES, TOLERANCES
from .model import Model
from .options import ExportOptions

# The tolerances of each stage, which only an fp32 export promises.
STAGES = {
    "encoder": ("log_mel", "features", "encoder"), "predictor": ("predictor",), "joint": ("joint",),
    "streaming": ("cache_last_channel", "cache_last_time"),
}  # fmt: skip

# The sections whose numbers a graph carries in its own metadata, so that a contract that tells other ones is found out.
CARRIED = {
    "encoder": ("features", "encoder"), "predictor": ("predictor",), "joint": ("joint", "decode"), "streaming": ("features", "streaming"),
}  # fmt: skip
# WHY: inputs and outputs stand in the graph itself, and the number of symbols on a frame is the decoder's choice, not the graph's.
NOT_CARRIED = ("file", "inputs", "outputs", "max_symbols_per_frame")


def _frames_profile(mel_frames_max: int, call_frames: int | None) -> dict:
    """The reference model's profile, no longer than this model's position table; `call_frames` alone where every call has them."""
    given = TENSORRT_PROFILES["encoder"]["frames"]
    return {key: call_frames or min(value, mel_frames_max) for key, value in given.items()}


def _ports(part) -> dict:
    return {
        "inputs": [port.contract() for port in part.input_ports],
        "outputs": [port.contract() for port in part.outputs],
    }


def _encoder(model: Model, parts: dict, projected: bool) -> dict:
    """The encoder's numbers, and its graph for whole utterances where the folder has one."""
    config, offline = model.config.encoder, parts.get("encoder")
    file = {"file": offline.file} if offline else {}
    return {
        **file, "layers": config.layers, "width": config.width, "heads": config.heads,
        "feed_forward_width": config.feed_forward_width, "convolution_kernel": config.kernel, "subsampling": config.subsampling,
        "causal_subsampling": config.causal_subsampling, "subsampling_channels": config.channels, "frames_max": config.frames_max, "attention_context": list(model.encoder.context),
        "output_width": (offline or parts["streaming"]).outputs[0].shape[-1], "projected": projected, **(_ports(offline) if offline else {}),
    }  # fmt: skip


def _streaming(part, plan, context) -> dict:
    return {
        "file": part.file, "chunk_frames": {"first": plan.chunk_first, "next": plan.chunk_next},
        "shift_frames": {"first": plan.shift_first, "next": plan.shift_next}, "pre_encode_frames": {"first": 0, "next": plan.pre_encode},
        "first_padding_frames": plan.first_padding_frames, "drop_extra_encoded_frames": {"first": 0, "next": plan.drop_encoded_frames},
        "output_frames": plan.output_frames, "cache_channel_frames": plan.cache_channel_frames, "cache_time_frames": plan.cache_time_frames,
        "cache_drop_frames": plan.cache_drop_frames, "attention_context": list(context), **_ports(part),
    }  # fmt: skip


def _profiles(parts: dict, config, plan) -> dict:
    # The profile is that of the folder's encoder graph, whichever it is.
    frames = _frames_profile(config.mel_frames_max, None if "encoder" in parts else plan.input_frames)
    profiles = {"encoder": TENSORRT_PROFILES["encoder"] | {"frames": frames}}
    return profiles | {name: TENSORRT_PROFILES[name] for name in ("predictor", "joint") if name in parts}


def contract_of(model: Model, parts: dict, plan, options: ExportOptions, name: str, unk_id: int) -> dict:
    """contract.json without `files`. `parts` are the graphs by section, `plan` is None without streaming."""
    config, ctc = model.config, "predictor" not in parts
    features = asdict(config.features)
    hop_ms = 1000 * config.features.hop_samples / config.features.sample_rate_hz
    contract = {
        "schema": SCHEMA,
        "model": {
            "name": name,
            "architecture": "fastconformer",
            "languages": list(options.languages),
            "license": options.license,
        },
        "precision": options.precision,
        "features": features,
        "timebase": {"hop_ms": _plain(hop_ms), "frame_ms": _plain(hop_ms * config.encoder.subsampling)},
        "tokenizer": {
            "kind": "sentencepiece",
            "file": "tokens.txt" if ctc else "vocab.txt",
            "vocabulary": model.vocabulary,
            "unk_id": unk_id,
        },
        "encoder": _encoder(model, parts, options.fold_joint),
    }
    if not ctc:
        contract["predictor"] = {
            "file": parts["predictor"].file,
            "layers": config.predictor.layers,
            "width": config.predictor.width,
            **_ports(parts["predictor"]),
        }
        durations = config.joint.durations
        contract["joint"] = {
            "file": parts["joint"].file, "width": config.joint.width, "tokens": model.vocabulary + 1, "durations": len(durations), **_ports(parts["joint"]),
        }  # fmt: skip
    contract["decode"] = _decode(model, ctc)
    if plan is not None:
        contract["streaming"] = _streaming(parts["streaming"], plan, model.encoder.context)
    contract["tensorrt"] = {"profiles": _profiles(parts, config.encoder, plan)}
    if options.precision == "fp32":
        # The front end and the encoder are the same without a graph for whole utterances.
        contract["tolerances"] = {stage: TOLERANCES[stage] for part in ("encoder", *parts) for stage in STAGES[part]}
    return contract


def _leaves(path: str, value) -> dict[str, str]:
    """Path -> JSON of each value that is no mapping."""
    if not isinstance(value, dict):
        return {path: json.dumps(value, allow_nan=False)}
    inner = (_leaves(f"{path}.{key}", one) for key, one in value.items() if key not in NOT_CARRIED)
    return {name: text for leaves in inner for name, text in leaves.items()}


def metadata_of(contract: dict, section: str) -> dict[str, str]:
    """The metadata of the graph of `section`: `trt_asr.<path>` is what contract.json has at that path, as JSON."""
    carried = CARRIED[section]
    # Without a graph for whole utterances the streaming one carries the encoder's numbers too.
    alone = section == "streaming" and "file" not in contract["encoder"]
    carried += ("encoder",) if alone else ()
    carried += ("decode",) if (section == "encoder" or alone) and contract["decode"]["rule"] == "ctc" else ()
    paths = [leaf for name in ("precision", *carried) for leaf in _leaves(f"trt_asr.{name}", contract[name]).items()]
    return {"trt_asr_graph": section, **dict(paths)}


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _decode(model: Model, ctc: bool) -> dict:
    if ctc:
        return {"rule": "ctc", "blank_id": model.vocabulary}
    durations = list(model.config.joint.durations)
    rule = (
        {"rule": "tdt", "blank_id": model.vocabulary, "durations": durations}
        if durations
        else {"rule": "rnnt", "blank_id": model.vocabulary}
    )
    return rule | {"max_symbols_per_frame": model.config.max_symbols}
