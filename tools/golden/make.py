"""Makes test fixtures from NeMo: python tools/golden/make.py SET... (see README.md beside this file)."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOOLS / "golden"), str(TOOLS / "export")]
FIXTURES = TOOLS.parent / "test" / "fixtures"
SETS = ("models", "hostile", "variants", "audio", "features", "tiny", "heads", "text", "words", "transcripts",
        "streaming-models", "streaming", "streaming-transcripts", "traced-models", "traced")  # fmt: skip


def make(name: str, fixtures: Path, arguments) -> None:
    from trt_asr_golden import audio, features, heads, hostile, models, pieces, streaming, traced, transcripts, variants

    golden = fixtures / "golden"
    pools = audio.Pools(golden / "audio")
    if name == "models":
        models.make(fixtures / "models")
    elif name == "hostile":
        hostile.make(fixtures / "models" / "tiny-ours", fixtures / "models" / "hostile")
    elif name == "variants":
        variants.make(fixtures / "models" / "variants")
    elif name == "audio":
        audio.make(golden / "audio")
    elif name == "features":
        features.make(pools, golden / "features")
    elif name == "tiny":
        transcripts.make_tiny(pools, golden, fixtures / "models")
    elif name == "heads":
        heads.make(pools, golden, fixtures / "models")
    elif name == "text":
        pieces.make_text(golden / "text")
    elif name == "words":
        pieces.make_words(golden / "words")
    elif name == "streaming-models":
        streaming.make_models(fixtures / "models" / "streaming")
    elif name == "streaming":
        streaming.make(pools, golden, fixtures / "models" / "streaming")
    elif name == "traced-models":
        traced.make_models(fixtures / "models" / "traced")
    elif name == "traced":
        traced.make(pools, golden, fixtures / "models" / "traced")
    elif name == "streaming-transcripts":
        streaming.make_from_nemo(arguments.nemo, arguments.model, golden, arguments.name, arguments.corpus)
    else:
        transcripts.make_from_nemo(arguments.nemo, arguments.model, golden, arguments.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--out", type=Path, default=FIXTURES, help="the fixtures folder")
    parser.add_argument("--nemo", type=Path, help="*transcripts: the .nemo file")
    parser.add_argument("--model", type=Path, help="*transcripts: the folder of its export in our layout")
    parser.add_argument("--name", help="*transcripts: the name of the set")
    parser.add_argument("--corpus", type=Path, help="streaming-transcripts: the corpus of tools/train-demo")
    arguments = parser.parse_args()
    named = arguments.nemo and arguments.model and arguments.name
    if {"transcripts", "streaming-transcripts"} & set(arguments.sets) and not named:
        parser.error("expected --nemo, --model and --name for the sets of transcripts")
    if "streaming-transcripts" in arguments.sets and not arguments.corpus:
        parser.error("expected --corpus for the set streaming-transcripts")
    warnings.filterwarnings("ignore")

    import torch
    from nemo.utils import logging as nemo_logging

    logging.getLogger().setLevel(logging.ERROR)
    nemo_logging.setLevel(nemo_logging.ERROR)
    torch.set_num_threads(1)
    for name in arguments.sets:
        make(name, arguments.out, arguments)


if __name__ == "__main__":
    main()
