"""All modules of a checkpoint, with their weights."""

from dataclasses import dataclass

import torch

from .config import ModelConfig
from .errors import ExportError
from .mel import filter_bank
from .nn.encoder import Encoder
from .nn.heads import CtcHead, Joint, Predictor

# SOURCE: our bank in float64 against librosa's float32 one differs by 2e-9 at most; a bank of other edges by 1e-3.
BANK_TOLERANCE = 1e-6


@dataclass
class Model:
    """predictor and joint are None without a transducer, ctc is None without a CTC head."""

    config: ModelConfig
    vocabulary: int
    encoder: Encoder
    predictor: Predictor | None
    joint: Joint | None
    ctc: CtcHead | None


def _check_front_end(config: ModelConfig, source) -> None:
    """The checkpoint carries window and filters; they must be those that the contract's numbers describe."""
    features = config.features
    bank = filter_bank(features)
    window = torch.hann_window(features.window_samples, periodic=False)
    for name, ours in (("fb", bank[None]), ("window", window)):
        name = f"preprocessor.featurizer.{name}"
        if not source.has(name):
            continue
        apart = float((source.take(name, tuple(ours.shape)) - ours).abs().max())
        # A checkpoint in half precision has a rounded bank; NeMo would use that, the runtime uses the exact one.
        limit = BANK_TOLERANCE + source.epsilon(name) * float(ours.abs().max())
        if not apart <= limit:  # a bank without width is NaN
            remedy = "Its front end is not NeMo's AudioToMelSpectrogramPreprocessor with these options"
            raise ExportError(
                f"tensor {name}", "what the preprocessor's options give", f"one that is {apart:.3g} off", remedy
            )


def build(config: ModelConfig, vocabulary: int, source, context=None, projected: bool = False) -> Model:
    """Builds the modules and fills them from `source`, a Checkpoint; raises ExportError on any tensor that does not fit."""
    _check_front_end(config, source)
    encoder = Encoder(config.encoder, context).take(source)
    width = config.encoder.output_width
    predictor = joint = ctc = None
    if config.predictor is not None:
        predictor = Predictor(config.predictor, vocabulary).take(source)
        joint = Joint(config.joint, width, config.predictor.width, vocabulary, projected).take(source)
    if config.has_ctc:
        ctc = CtcHead(width, vocabulary).take(source, "decoder" if predictor is None else "ctc_decoder")
    source.finish()
    for module in (encoder, predictor, joint, ctc):
        if module is not None:
            module.eval().requires_grad_(False)
    return Model(config, vocabulary, encoder, predictor, joint, ctc)
