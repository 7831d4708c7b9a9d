"""What ties a reference to an export: the same weights, and a contract of the same parts and sizes."""

import json
from dataclasses import asdict
from pathlib import Path

from . import weights
from .errors import ParityError
from .streaming import StreamPlan

REMEDY = "Make the reference again with `trt_asr_parity reference MODEL.nemo --export DIR`, DIR being this export."
META = "model_meta.json"


def asked_of(contract: dict) -> dict:
    """What a reference's items and answers follow from, as JSON values; `streaming` is null without a streaming graph."""
    encoder, predictor = contract["encoder"], contract.get("predictor", {})
    return {
        "rule": contract["decode"]["rule"],
        "blank_id": contract["decode"]["blank_id"],
        "mel_bins": contract["features"]["mel_bins"],
        "normalization": contract["features"]["normalization"],
        "encoder_layers": encoder["layers"],
        "encoder_width": encoder["width"],
        "encoder_output_width": encoder["output_width"],
        "attention_context": list(encoder["attention_context"]),
        "projected": encoder["projected"],
        "predictor_layers": predictor.get("layers"),
        "predictor_width": predictor.get("width"),
        "streaming": asdict(StreamPlan.of(contract)) if "streaming" in contract else None,
    }


def check_contract(head: dict, contract: dict) -> None:
    """Raises ParityError at the first number in which the export is another than the one that NeMo was asked about."""
    told = head["asked"]
    for name, found in asked_of(contract).items():
        if told.get(name) == found:
            continue
        if name == "streaming" and not (found and told.get(name)):
            has = ("a streaming graph", "none")
            wanted, found = (has if found is None else has[::-1])
            raise ParityError("reference.streaming", f"{wanted} in the export, as in the reference", found, REMEDY)
        raise ParityError(f"reference.{name}", json.dumps(told.get(name)), json.dumps(found), REMEDY)


def check_weights(head: dict, folder: Path, archive: Path | None) -> None:
    """Raises ParityError when the archive or the export has other weights than the reference, or an export alone cannot tell its own."""
    wanted = head["weights_sha256"]
    if archive is not None:
        found = weights.digest(archive)
        if found != wanted:
            raise ParityError("reference.weights_sha256", wanted[:16], found[:16], REMEDY)
    path = Path(folder) / META
    meta = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = meta.get("source", {}).get("weights_sha256")
    if found is None and archive is None:
        raise ParityError(f"{META}: source.weights_sha256", "the hash of the weights, which ties the export to the reference", "none",
                          "Export the model again, or give its archive: `trt_asr_parity run MODEL.nemo --export DIR`.")  # fmt: skip
    if found is not None and found != wanted:
        raise ParityError(f"{META}: source.weights_sha256", wanted[:16], found[:16], REMEDY)
