"""What a checkpoint is, told by a hash that does not depend on how it was packed."""

import hashlib
import json
import tempfile
from pathlib import Path

import torch
from trt_asr_export import archive as archives
from trt_asr_export.config import read_config
from trt_asr_export.tokenizer import load_pieces, vocabulary_text


def digest(path: Path) -> str:
    """sha256 over configuration, pieces and every learned tensor's name, dtype, shape and bytes, in the order of the names.

    The archive's own bytes would also change with the versions of torch and SentencePiece that wrote its members.
    """
    with tempfile.TemporaryDirectory() as scratch, archives.opened(path, Path(scratch)) as opened:
        # The tokenizer's section names files by their hashes; the pieces are what counts.
        config = {key: value for key, value in opened.config.items() if key != "tokenizer"}
        found = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        model = read_config(opened.config).tokenizer_model
        found.update(vocabulary_text(load_pieces(opened.file(model, "tokenizer.model_path"))).encode())
        for name, tensor in sorted(archives.load_tensors(opened.weights).items()):
            # Window and filter bank follow from the configuration, and their last bits from the machine's library of sines.
            if name.startswith("preprocessor."):
                continue
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
            found.update(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()
