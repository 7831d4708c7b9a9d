"""Random .nemo archives of every architecture that the exporter knows, for tests and for parity; NeMo loads them too.

    write_random_archive(path, kind, seed, size='tiny')

`kind` is one of KINDS. With size 'full' the kind 'tdt' is the architecture of parakeet-tdt-0.6b-v3. The weights hear nothing; the
last layers are scaled so that blanks, tokens, durations and repeats all occur. The same arguments give the same bytes.
"""

import hashlib
import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import yaml

from . import seeded
from .archive import CONFIG, WEIGHTS
from .config import read_config
from .mel import filter_bank
from .model import build
from .random_config import KINDS, SIZES, configuration
from .random_text import corpus

__all__ = ["KINDS", "SIZES", "random_state", "train_pieces", "write_random_archive"]


def train_pieces(pieces: int, seed: int) -> bytes:
    """A SentencePiece BPE model with exactly `pieces` pieces, trained on words of our own; with byte fallback where there is room."""
    sink = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus(pieces, seed)), model_writer=sink, model_type="bpe", vocab_size=pieces, byte_fallback=pieces > 256,
        character_coverage=1.0, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return sink.getvalue()


# CONTRACT: at every depth frames stay apart: at full size the encoder's outputs deviate by 0.37 over time at a size of 1.
# SOURCE: tried with 24 layers: unscaled they deviate by 0.06. WHY: random attention looks everywhere alike, so each layer adds about the same
# to every frame; told apart by a gain of 31 behind it, such frames gave logits of 90 on noise, which float32 cannot hold to 1e-4.
LAYERS_UNSCALED = 2


class RandomSource:
    """Stands where a checkpoint would: makes up each tensor that a module asks for, and keeps it under NeMo's name."""

    def __init__(self, seed: int, layers: int, bell_shaped: bool):
        self.state: dict[str, torch.Tensor] = {}
        self._seed = seed
        self._bell_shaped = bell_shaped
        self._attention_gain = min(1.0, LAYERS_UNSCALED / layers)

    def _uniform(self, name: str, shape, low: float, high: float) -> torch.Tensor:
        return torch.from_numpy(seeded.uniform(self._seed, name, tuple(shape), low, high))

    def _made(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            return self._uniform(name, shape, 0.5, 1.5)
        if len(shape) == 1 or "pos_bias" in name:
            return self._uniform(name, shape, -0.3, 0.3)
        if name.endswith("embed.weight"):
            table = torch.from_numpy(seeded.normal(self._seed, name, shape, 2.0))
            table[-1] = 0.0  # NeMo's padding row is the blank
            return table
        inputs = 1
        for extent in shape[1:]:
            inputs *= extent
        gain = 2.0 if ".lstm." in name else self._attention_gain if ".self_attn.linear_out." in name else 1.0
        if self._bell_shaped:
            return torch.from_numpy(seeded.normal(self._seed, name, shape, gain / inputs**0.5))
        reach = gain * (3.0 / inputs) ** 0.5
        return self._uniform(name, shape, -reach, reach)

    def take(self, name: str, shape) -> torch.Tensor:
        if name not in self.state:
            self.state[name] = self._made(name, tuple(shape))
        return self.state[name]

    def has(self, name: str) -> bool:
        return name in self.state

    def epsilon(self, name: str) -> float:
        return torch.finfo(self.state[name].dtype).eps

    def skip(self, name: str) -> None:
        self.state[name] = torch.tensor(0)

    def finish(self) -> None:
        pass


# CONTRACT: the random model's greedy decode shows blanks, several tokens a frame, long durations and tokens that repeat.
# SOURCE: tried on random features with several seeds. WHY: untouched random weights give one token for every frame, which tests nothing.
ENCODED_DEVIATION = 1.5
PREDICTED_DEVIATION = 1.0
LOGIT_DEVIATION = 3.0
ZERO_DURATION_BIAS = 2.0
BLANK_BIAS = 3.5
# An RNN-T stays on a frame until a blank; without this nearly every frame ends by the cap on symbols alone.
RNNT_BLANK_BIAS = 3.0
# SOURCE: log-mel of speech that is not normalised had mean -3.91 and deviation 2.77 with 80 bins.
FEATURE_LOOK = {"per_feature": (0.0, 1.0), "none": (-3.91, 2.77)}
CALIBRATION_FRAMES = 400


# CONTRACT: the same arguments give the same weights on every machine, bit for bit; tools/parity ties its references to them by a hash.
# SOURCE: tried: the calibration's sums differ in their last bits between 1 and 2 threads. WHY: so gains are rounded to powers of two and
# shifts to quarters, which rounding noise does not move, unless a value lies within that noise of a boundary.
SHIFT_STEP = 0.25


def _round_gain(gain: torch.Tensor) -> torch.Tensor:
    return torch.ldexp(torch.ones_like(gain), torch.log2(gain).round().to(torch.int32))


def _round_shift(shift: torch.Tensor) -> torch.Tensor:
    return (shift / SHIFT_STEP).round() * SHIFT_STEP


def _standardise(state: dict, name: str, linear, inputs: torch.Tensor, deviation: float) -> None:
    """Rescales the linear layer `name` so that every output has about mean 0 and `deviation` over `inputs` of [N, width]."""
    outputs = linear(inputs)
    gain = _round_gain(deviation / outputs.std(dim=0))
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    bias.copy_(bias * gain - _round_shift(outputs.mean(dim=0) * gain))
    weight.mul_(gain.reshape(-1, *[1] * (weight.dim() - 1)))
    linear.weight.data = weight.reshape(weight.shape[:2]).t().contiguous()
    linear.bias.data = bias.clone()


def _byte_pieces(pieces) -> torch.Tensor:
    count = pieces.get_piece_size()
    return torch.tensor([index for index in range(count) if pieces.is_byte(index) or pieces.is_unknown(index)])


def _favour_blank(state: dict, name: str, pieces, logits: torch.Tensor) -> None:
    """Makes blanks about as frequent as all tokens together, and byte pieces rare."""
    vocabulary = pieces.get_piece_size()
    bias = state[f"{name}.bias"]
    tokens = logits[:, :vocabulary].clone()
    tokens[:, _byte_pieces(pieces)] -= 4.0
    bias[_byte_pieces(pieces)] -= 4.0
    bias[vocabulary] += _round_shift((tokens.max(dim=1).values - logits[:, vocabulary]).median()) + BLANK_BIAS


@torch.no_grad()
def _calibrate(model, state: dict, pieces, seed: int) -> None:
    # Loudness changes every 80 ms, as in speech, so that frames differ.
    loudness = seeded.uniform(seed, "calibration/loudness", (1, 1, CALIBRATION_FRAMES // 8), 0.0, 2.0).repeat(8, axis=2)
    shape = (1, model.config.features.mel_bins, CALIBRATION_FRAMES)
    mean, deviation = FEATURE_LOOK[model.config.features.normalization]
    features = torch.from_numpy(
        seeded.normal(seed, "calibration/features", shape, deviation) * loudness + np.float32(mean)
    )
    encoded = model.encoder(features, torch.tensor([CALIBRATION_FRAMES]))[0][0]
    if model.ctc is not None:
        name = "ctc_decoder.decoder_layers.0" if model.predictor is not None else "decoder.decoder_layers.0"
        _standardise(state, name, model.ctc.out, encoded, LOGIT_DEVIATION)
        _favour_blank(state, name, pieces, model.ctc.out(encoded))
    if model.predictor is None:
        return
    _standardise(state, "joint.enc", model.joint.encoded, encoded, ENCODED_DEVIATION)
    width, layers = model.predictor.config.width, model.predictor.config.layers
    tokens = torch.from_numpy(seeded.integers(seed, "calibration/tokens", (256, 1), model.vocabulary))
    zeros = torch.zeros(layers, 256, width)
    predicted = model.predictor(tokens, zeros, zeros)[0][:, 0]
    _standardise(state, "joint.pred", model.joint.predicted, predicted, PREDICTED_DEVIATION)
    pairs = torch.from_numpy(seeded.integers(seed, "calibration/pairs", (len(encoded) * 8,), len(predicted)))
    sums = model.joint.encoded(encoded).repeat(8, 1) + model.joint.predicted(predicted[pairs])
    hidden = model.joint.activation(sums)
    _standardise(state, "joint.joint_net.1", model.joint.out, hidden, LOGIT_DEVIATION)
    _favour_blank(state, "joint.joint_net.1", pieces, model.joint.out(hidden))
    if model.config.joint.durations:
        state["joint.joint_net.1.bias"][model.vocabulary + 1] += ZERO_DURATION_BIAS
    else:
        state["joint.joint_net.1.bias"][model.vocabulary] += RNNT_BLANK_BIAS


def random_state(values: dict, pieces, seed: int, bell_shaped: bool = False) -> dict[str, torch.Tensor]:
    """The state dictionary, under NeMo's names, of a random model with the configuration `values`."""
    config = read_config(values)
    source = RandomSource(seed, config.encoder.layers, bell_shaped)
    source.state["preprocessor.featurizer.window"] = torch.hann_window(config.features.window_samples, periodic=False)
    source.state["preprocessor.featurizer.fb"] = filter_bank(config.features)[None]
    model = build(config, pieces.get_piece_size(), source)
    _calibrate(model, source.state, pieces, seed)
    return source.state


def _add(tar: tarfile.TarFile, name: str, content) -> None:
    """Adds bytes or a file under a name as NeMo writes it, with no time or owner."""
    member = tarfile.TarInfo(f"./{name}")
    if isinstance(content, bytes):
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        return
    member.size = content.stat().st_size
    with open(content, "rb") as stream:
        tar.addfile(member, stream)


def write_archive(path: Path, values: dict, state: dict[str, torch.Tensor], files: dict[str, bytes]) -> None:
    """Writes a .nemo archive of a configuration, a state dictionary and further members."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        weights = Path(scratch) / "weights"
        torch.save(state, weights)
        with tarfile.open(path, "w:") as tar:
            _add(tar, CONFIG, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
            _add(tar, WEIGHTS, weights)
            for name, content in files.items():
                _add(tar, name, content)


def write_random_archive(path, kind: str, seed: int, size: str | dict = "tiny", bell_shaped: bool = False, **changes) -> dict:
    """Writes a random .nemo archive and returns its configuration.

    Weight matrices are uniform, or `bell_shaped`: normal, as trained ones nearly are, of the same deviation; that is how
    their int8 codes spread. `changes` replace values of the encoder's section, for instance att_context_size=[70, 0]. Raises ValueError for an
    unknown kind or size.
    """
    values = configuration(kind, size, changes)
    content = train_pieces(values.pop("pieces"), seed)
    pieces = sentencepiece.SentencePieceProcessor()
    pieces.LoadFromSerializedProto(content)
    listing = [pieces.id_to_piece(index) for index in range(pieces.get_piece_size())]
    prefix = hashlib.sha256(content).hexdigest()[:32]
    files = {
        f"{prefix}_tokenizer.model": content,
        f"{prefix}_vocab.txt": ("\n".join(listing) + "\n").encode(),
        f"{prefix}_tokenizer.vocab": "".join(f"{piece}\t{-index}\n" for index, piece in enumerate(listing)).encode(),
    }
    names = list(files)
    values["tokenizer"] |= {
        "model_path": f"nemo:{names[0]}", "vocab_path": f"nemo:{names[1]}", "spe_tokenizer_vocab": f"nemo:{names[2]}",
    }  # fmt: skip
    write_archive(Path(path), values, random_state(values, pieces, seed, bell_shaped), files)
    return values
