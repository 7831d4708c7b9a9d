"""What a caller gives the ladder: audio, a reference, options; each mistake is named and nothing is dropped without a word."""

import json
import subprocess
import sys
import wave

import numpy as np
import pytest
from trt_asr_parity import __main__, items, run, stages, store
from trt_asr_parity.audio import SHORT_CLIPS, own_clips
from trt_asr_parity.errors import ParityError
from trt_asr_parity.greedy import Transcript
from trt_asr_parity.sides import nemo_side
from trt_asr_parity.sides.ort_side import load_export
from trt_asr_parity.sides.torch_side import TorchSide
from trt_asr_parity.store import Seeded


def wav(path, clip=SHORT_CLIPS[2], rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(clip.pcm().astype("<i2").tobytes())
    return path


def told(capsys, *arguments):
    """The exit code of the command line, and the last line of what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trt_asr_parity", *map(str, arguments)])
        code = __main__.main()
    return code, capsys.readouterr().err.strip().splitlines()[-1]


def test_a_missing_audio_file_is_an_error_that_names_it(tmp_path, capsys):
    code, line = told(capsys, "run", tmp_path, "--out", tmp_path / "out", "--audio", tmp_path / "none.wav")
    assert code == 2 and line.startswith("error: none.wav: expected a WAV file")


def test_a_file_that_is_no_wav_is_an_error_that_names_it(tmp_path):
    for content in (b"", b"ID3 something else"):
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(ParityError, match="a.wav: expected a WAV file"):
            own_clips([tmp_path / "a.wav"])
    with pytest.raises(ParityError, match="16 kHz"):
        own_clips([wav(tmp_path / "b.wav", rate=8000)])


def test_two_files_of_one_stem_are_refused(tmp_path):
    paths = [wav(tmp_path / "a" / "talk.wav"), wav(tmp_path / "b" / "talk.wav", SHORT_CLIPS[0])]
    with pytest.raises(ParityError, match="talk twice"):
        own_clips(paths)
    assert [clip.name for clip in own_clips(paths[:1])] == ["talk"]


@pytest.mark.parametrize("said", [["--seed", "42"], ["--size", "full"], ["--audio", "a.wav"]])
def test_what_a_reference_has_settled_cannot_be_said_again(said, tmp_path, capsys):
    code, line = told(capsys, "run", tmp_path, "--reference", tmp_path, "--out", tmp_path / "out", *said)
    assert code == 2 and line.startswith(f"error: {said[0]}: expected nothing beside --reference")


def test_feature_items_carry_their_samples_and_their_hash_but_no_path(tmp_path):
    size = items.with_audio(items.SIZES["full"], [wav(tmp_path / "mine" / "talk.wav")])
    (item,) = items.feature_items(size)
    out = store.Writer(tmp_path / "reference", {})
    out.add(item, {})
    out.close()
    text = (tmp_path / "reference" / "reference.jsonl").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and ".wav" not in text
    (record,) = [json.loads(line) for line in text.splitlines()[1:]]
    assert len(record["inputs"]["pcm"]["sha256"]) == 64
    (tmp_path / "mine" / "talk.wav").unlink()
    back = store.load(tmp_path / "reference").items[0]
    assert back.inputs["pcm"].tolist() == SHORT_CLIPS[2].pcm().tolist()

    class Echo:
        def features(self, samples):
            return samples

    contract = {"decode": {"rule": "tdt"}}
    assert (stages.run(Echo(), back, contract)["features"] == SHORT_CLIPS[2].read()).all()


def test_every_stream_asked_about_has_a_row_that_ends_early(bench):
    contract, _ = load_export(bench("cache-aware-ctc").export)
    asked = {item.name: item for item in items.streaming_items(contract, 42, items.SIZES["small"])}
    given = asked["given-caches"].inputs
    frames = given["features"].shape[2]
    assert isinstance(given["features"], Seeded) and given["lengths"].tolist() == [frames, frames - 43]
    assert sorted(name for name in asked if name != "given-caches") == ["1-chunk", "300-chunks", "50-chunks"]
    assert all(item.facts["last_lacks"] == 43 for name, item in asked.items() if name != "given-caches")


def with_margins(monkeypatch, margins):
    """The clips' margins are these, one after another."""
    left = list(margins)
    monkeypatch.setattr(items.greedy, "decode", lambda side, contract, encoded: Transcript(margin_min=left.pop(0)))


def test_clips_that_are_not_decoded_are_named_in_the_report(bench, monkeypatch, tmp_path):
    tdt = bench("tdt")
    contract, vocabulary = load_export(tdt.export)
    speech = items.speech_features(TorchSide(tdt.archive, contract, vocabulary), items.SIZES["small"])
    side = TorchSide(tdt.archive, contract, vocabulary)
    with_margins(monkeypatch, [1e-3, 1.0])
    found, unsteady = items.decode_items(contract, side, speech)
    assert unsteady == {"speech.0s4": 1e-3} and {item.name for item in found} == {"speech.0s7"}
    monkeypatch.undo()
    question = run.Question(tdt.export, tdt.archive, None, 7, tdt.variant.size, 1, ("decode",))
    climbed, facts = run.climb(question)
    run.write(climbed, {**facts, "unsteady_clips": unsteady}, tmp_path)
    assert "Not decoded" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "speech.0s4 (1.0e-03)" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_ladder_without_one_steady_clip_is_refused(bench, monkeypatch):
    tdt = bench("tdt")
    contract, vocabulary = load_export(tdt.export)
    side = TorchSide(tdt.archive, contract, vocabulary)
    speech = items.speech_features(side, items.SIZES["small"])
    with_margins(monkeypatch, [1e-3, 1e-4])
    with pytest.raises(ParityError, match="clips: expected one"):
        items.decode_items(contract, side, speech)


def test_every_committed_reference_decodes_five_tokens(bench):
    from trt_asr_parity.ci import REFERENCES
    from trt_asr_parity.variants import VARIANTS

    for variant in VARIANTS:
        outputs = store.load(REFERENCES / variant.name).outputs
        tokens = sum(len(told["tokens"]) for (stage, _), told in outputs.items() if stage == "decode")
        assert tokens >= 5, variant.name


def test_without_nemo_the_reference_says_what_to_install(monkeypatch, tmp_path):
    # None in sys.modules makes `import nemo...` an ImportError.
    for name in [name for name in sys.modules if name.split(".")[0] == "nemo"] + ["nemo"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ParityError, match=r"tools/parity\[nemo\]"):
        nemo_side.restore(tmp_path / "model.nemo")


def test_the_python_that_is_named_comes_before_those_that_lie_about(tmp_path):
    """Each fake Python can import all and says who it is."""
    from trt_asr_parity.audio import REPOSITORY

    def fake(name):
        path = tmp_path / name / "bin" / "python"
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo {name} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    named, active = fake("named"), fake("active")
    plain = {"PATH": "/usr/bin:/bin:/usr/local/bin"}
    node = [subprocess.run(["which", "node"], capture_output=True, text=True, check=True).stdout.strip(), str(REPOSITORY / "tools/parity/run.js"), "ci"]
    both = {**plain, "TRT_ASR_PYTHON": str(named), "VIRTUAL_ENV": str(tmp_path / "active")}
    for environment, wanted in ((both, "named"), ({**plain, "VIRTUAL_ENV": str(active.parents[1])}, "active")):
        found = subprocess.run(node, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.split() == [wanted, "-m", "trt_asr_parity", "ci"]


def test_full_size_makes_what_the_documents_name():
    assert __main__._parser().parse_args(["full-size", "--out", "x"]).precision == "fp32,fp16,int8"
    assert np.array_equal(SHORT_CLIPS[0].pcm() / np.float32(32768), SHORT_CLIPS[0].read())
