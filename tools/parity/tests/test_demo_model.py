"""The shipped model, which knows speech: its checkpoint, its folder, and other exports of it give one text."""

import numpy as np
import pytest
from trt_asr_export import ExportOptions, export_model
from trt_asr_parity.audio import LONG_CLIPS, REPOSITORY, SPEECH, Clip
from trt_asr_parity.greedy import decode
from trt_asr_parity.sides.ort_side import OrtSide, load_export
from trt_asr_parity.sides.torch_side import TorchSide

NEMO = REPOSITORY / "tools/train-demo/demo-en.nemo"
SHIPPED = REPOSITORY / "models/demo-en"
# Eight utterances of eight lengths, none a multiple of the hop.
CLIPS = (*LONG_CLIPS, Clip("speech.3s", SPEECH, 90001, 48017), Clip("speech.8s", SPEECH, 33333, 130003))


@pytest.fixture(scope="module")
def features():
    """features_MT by clip."""
    side = TorchSide(NEMO, *load_export(SHIPPED))
    return {clip.name: side.features(clip.read()) for clip in CLIPS}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    def of(**options) -> OrtSide:
        folder = tmp_path_factory.mktemp("demo") / "model"
        export_model(NEMO, folder, ExportOptions(name="demo-en", **options))
        return OrtSide(folder, 1)

    return of


def singles(side: OrtSide, features: dict) -> list[list[int]]:
    """The tokens of each clip, run alone."""
    tokens = []
    for row in features.values():
        encoded, lengths = side.encode(row[None], np.array([row.shape[1]]))
        tokens.append(decode(side, side.contract, encoded[0, : int(lengths[0])]).tokens)
    return tokens


def test_a_ragged_batch_of_eight_equals_eight_singles(features):
    side = OrtSide(SHIPPED, 1)
    counts = np.array([row.shape[1] for row in features.values()])
    assert len(set(counts)) == len(counts) == 8
    batch_BMT = np.full((8, 128, counts.max()), 7.0, np.float32)  # padding that would be heard
    for number, row in enumerate(features.values()):
        batch_BMT[number, :, : row.shape[1]] = row
    encoded, lengths = side.encode(batch_BMT, counts)
    together = [decode(side, side.contract, encoded[row, : int(lengths[row])]).tokens for row in range(8)]
    assert together == singles(side, features)
    assert all(len(tokens) > 0 for tokens in together[3:])


def test_the_shipped_folder_is_the_export_of_its_checkpoint(features, exported):
    shipped, again = OrtSide(SHIPPED, 1), exported()
    assert {**shipped.contract, "files": None} == {**again.contract, "files": None}
    assert singles(again, features) == singles(shipped, features)


def test_the_projection_may_lie_in_either_graph(features, exported):
    folded = exported(fold_joint=True)
    assert folded.contract["encoder"]["projected"]
    assert singles(folded, features) == singles(OrtSide(SHIPPED, 1), features)


def test_the_words_are_those_that_were_spoken(features):
    side = OrtSide(SHIPPED, 1)
    row = features["welcome"]
    encoded, lengths = side.encode(row[None], np.array([row.shape[1]]))
    found = decode(side, side.contract, encoded[0, : int(lengths[0])])
    lines = (SHIPPED / "vocab.txt").read_text(encoding="utf-8").splitlines()
    text = "".join(lines[token].rsplit(" ", 1)[0] for token in found.tokens).replace("▁", " ").strip()
    assert text == (REPOSITORY / "examples/welcome.txt").read_text(encoding="utf-8").strip()
