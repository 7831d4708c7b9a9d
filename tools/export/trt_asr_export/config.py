"""model_config.yaml -> typed configuration. What the exporter cannot express is refused here, by the field's name."""

import math
import re
from dataclasses import dataclass

from .errors import UNSUPPORTED, ExportError, require, require_in

# The models' classes by the last part of `target`, and the branches that each has.
BRANCHES = {
    "EncDecRNNTBPEModel": ("transducer",),
    "EncDecCTCModelBPE": ("ctc",),
    "EncDecHybridRNNTCTCBPEModel": ("transducer", "ctc"),
}

# SOURCE: NeMo's greedy decoders stop after 10 symbols on a frame when the configuration names no number.
MAX_SYMBOLS = 10
# SOURCE: NeMo's front end adds it to the standard deviation, parts/preprocessing/features.py.
NORMALIZATION_EPSILON = 1e-5
# SOURCE: contracts/schema.json, fft_samples.
FFT_SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
_ABSENT = object()


def whole(value) -> int | None:
    """The integer that `value` is, also when it is written as 512.0; None for anything else, true and false too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _whole_pair(value, low: int) -> tuple[int, int] | None:
    """A list of two integers from `low` on, or None."""
    pair = [whole(one) for one in value] if isinstance(value, list) else []
    return tuple(pair) if len(pair) == 2 and all(one is not None and one >= low for one in pair) else None


class Section:
    """A mapping of the configuration that knows its own path, for error messages."""

    def __init__(self, values, path: str = "", root=None):
        if not isinstance(values, dict):
            raise ExportError(path or "model_config.yaml", "a mapping", type(values).__name__, UNSUPPORTED)
        self.values, self.path, self.root = values, path, root or values

    def _resolve(self, value, depth: int = 0):
        """Follows '${a.b}' as far as it names a value of this file."""
        found = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if not found or depth > 8:
            return value
        at = self.root
        for key in found.group(1).removeprefix("model.").split("."):
            if not isinstance(at, dict) or key not in at:
                return value
            at = at[key]
        return self._resolve(at, depth + 1)

    def field(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def get(self, key: str, default=_ABSENT):
        value = self._resolve(self.values.get(key, default))
        if value is _ABSENT:
            raise ExportError(self.field(key), "a value", "none", UNSUPPORTED)
        return value

    def absent_or(self, key: str, default):
        """The value, or `default` when it is not there or null."""
        value = self.get(key, None)
        return default if value is None else value

    def section(self, key: str) -> "Section":
        return Section(self.get(key), self.field(key), self.root)

    def optional(self, key: str) -> "Section":
        return Section(self.absent_or(key, {}), self.field(key), self.root)

    def integer(self, key: str, low: int, high: int, default=_ABSENT) -> int:
        value = self.get(key, default)
        number = whole(value)
        if number is None or not low <= number <= high:
            raise ExportError(self.field(key), f"an integer of {low} to {high}", repr(value), UNSUPPORTED)
        return number

    def number(self, key: str, low: float, high: float, default=_ABSENT) -> float:
        value = self.get(key, default)
        if isinstance(value, str):  # YAML 1.1 reads 1e-5 as a string.
            try:
                value = float(value)
            except ValueError:
                pass
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ExportError(self.field(key), f"a number of {low} to {high}", repr(value), UNSUPPORTED)
        return float(value)

    def truth(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise ExportError(self.field(key), "true or false", repr(value), UNSUPPORTED)
        return value


@dataclass(frozen=True)
class FeatureConfig:
    """The eleven numbers of the log-mel front end, named as in contract.json."""

    sample_rate_hz: int
    mel_bins: int
    fft_samples: int
    window_samples: int
    hop_samples: int
    pre_emphasis: float
    mel_low_hz: float
    mel_high_hz: float
    log_guard: float
    normalization: str
    normalization_epsilon: float


@dataclass(frozen=True)
class EncoderConfig:
    """A FastConformer encoder; contexts are (left, right), -1 is unlimited."""

    mel_bins: int
    layers: int
    width: int
    heads: int
    feed_forward_width: int
    kernel: int
    kernel_context: tuple[int, int]
    norm: str
    use_bias: bool
    untie_biases: bool
    xscaling: bool
    subsampling: int
    channels: int
    causal_subsampling: bool
    contexts: tuple[tuple[int, int], ...]
    context_style: str
    frames_max: int
    output_width: int

    @property
    def mel_frames_max(self) -> int:
        """The longest input that the position table reaches.

        N = floor((T + factor - 1) / factor), and floor((T + 2 factor - 2) / factor) when causal: each stride adds a frame.
        """
        return self.frames_max * self.subsampling - (self.subsampling - 1 if self.causal_subsampling else 0)

    @property
    def cache_aware(self) -> bool:
        """Whether the model was trained so that streaming with caches equals the whole utterance."""
        limited = all(left >= 0 and right >= 0 for left, right in self.contexts)
        return self.causal_subsampling and self.kernel_context[1] == 0 and limited


@dataclass(frozen=True)
class PredictorConfig:
    layers: int
    width: int


@dataclass(frozen=True)
class JointConfig:
    width: int
    activation: str
    durations: tuple[int, ...]


@dataclass(frozen=True)
class ModelConfig:
    """All that is read from model_config.yaml. predictor and joint are None in a CTC model."""

    target: str
    features: FeatureConfig
    encoder: EncoderConfig
    predictor: PredictorConfig | None
    joint: JointConfig | None
    max_symbols: int
    has_ctc: bool
    tokenizer_model: str
    root: Section

    @property
    def branches(self) -> tuple[str, ...]:
        return BRANCHES[self.target]


def _features(root: Section) -> FeatureConfig:
    part = root.section("preprocessor")
    target = str(part.get("_target_", "AudioToMelSpectrogramPreprocessor")).rsplit(".", 1)[-1]
    require(part.field("_target_"), "AudioToMelSpectrogramPreprocessor", target)
    for key, only in (("window", "hann"), ("log", True), ("exact_pad", False), ("mel_norm", "slaney"),
                      ("log_zero_guard_type", "add")):  # fmt: skip
        require(part.field(key), only, part.get(key, only))
    part.integer("frame_splicing", 1, 1, 1)
    require(part.field("mag_power"), 2.0, part.number("mag_power", 0, 10, 2.0))
    rate = part.integer("sample_rate", 1000, 384000, 16000)
    normalize = part.get("normalize", "per_feature")
    require_in(part.field("normalize"), ("per_feature", "NA", "None", "none", None), normalize)
    window = _samples(part, "window_size", "n_window_size", rate, 0.02)
    smallest = 2 ** math.ceil(math.log2(window))
    fft = smallest if part.get("n_fft", None) is None else part.integer("n_fft", 1, FFT_SIZES[-1])
    require_in(part.field("n_fft"), FFT_SIZES, fft)
    if window > fft:
        raise ExportError(part.field("n_fft"), f"at least the window's {window} samples", str(fft), UNSUPPORTED)
    hop = _samples(part, "window_stride", "n_window_stride", rate, 0.01)
    if hop > fft:
        raise ExportError(part.field("window_stride"), f"at most n_fft, {fft} samples", f"{hop} samples", UNSUPPORTED)
    low, high = (
        0.0 if part.get(key, None) is None else part.number(key, 0, rate / 2) for key in ("lowfreq", "highfreq")
    )
    # NeMo takes 0 or null for the whole band.
    high = high or rate / 2
    if low >= high:
        raise ExportError(part.field("lowfreq"), f"less than highfreq, {high:g} Hz", f"{low:g} Hz", UNSUPPORTED)
    return FeatureConfig(
        sample_rate_hz=rate,
        mel_bins=part.integer("features", 1, 256, 64),
        fft_samples=fft,
        window_samples=window,
        hop_samples=hop,
        # NeMo takes null for no pre-emphasis.
        pre_emphasis=0.0 if part.get("preemph", 0.97) is None else part.number("preemph", 0, 0.9999, 0.97),
        mel_low_hz=low,
        mel_high_hz=high,
        log_guard=part.number("log_zero_guard_value", 1e-30, 1, 2**-24),
        normalization="per_feature" if normalize == "per_feature" else "none",
        normalization_epsilon=NORMALIZATION_EPSILON,
    )


def _samples(part: Section, seconds_key: str, samples_key: str, rate: int, default: float) -> int:
    if part.get(samples_key, None) is not None:
        return part.integer(samples_key, 2, 65536)
    samples = int(part.number(seconds_key, 0.001, 1, default) * rate)
    if not 2 <= samples <= 65536:
        raise ExportError(part.field(seconds_key), "2 to 65536 samples", f"{samples} samples", UNSUPPORTED)
    return samples


def _contexts(part: Section, style: str) -> tuple[tuple[int, int], ...]:
    """att_context_size is one pair or a list of pairs, of which the first is the default."""
    value = part.get("att_context_size", None)
    value = [-1, -1] if value is None or value == [] else value
    listed = value if isinstance(value, list) and isinstance(value[0], list) else [value]
    pairs = tuple(_whole_pair(pair, -1) for pair in listed)
    if None in pairs:
        raise ExportError(
            part.field("att_context_size"), "a pair or pairs of integers from -1 on", repr(value), UNSUPPORTED
        )
    for left, right in pairs:
        if style == "chunked_limited" and (right < 0 or left % (right + 1) if left > 0 else right < 0):
            raise ExportError(
                part.field("att_context_size"), "a left context of whole chunks", repr([left, right]), UNSUPPORTED
            )
    return pairs


def _kernel_context(part: Section, kernel: int) -> tuple[int, int]:
    value = part.get("conv_context_size", None)
    if value is None:
        return (kernel - 1) // 2, (kernel - 1) // 2
    if value == "causal":
        return kernel - 1, 0
    pair = _whole_pair(value, 0)
    if pair is not None and sum(pair) + 1 == kernel:
        return pair
    raise ExportError(
        part.field("conv_context_size"), f"'causal' or two that sum to {kernel - 1}", repr(value), UNSUPPORTED
    )


def _encoder(root: Section, features: FeatureConfig) -> EncoderConfig:
    part = root.section("encoder")
    require(part.field("_target_"), "ConformerEncoder", str(part.get("_target_")).rsplit(".", 1)[-1])
    require(part.field("self_attention_model"), "rel_pos", part.get("self_attention_model", "rel_pos"))
    require(part.field("subsampling"), "dw_striding", part.get("subsampling", "striding"))
    subsampling = part.integer("subsampling_factor", 1, 64, 4)
    require_in(part.field("subsampling_factor"), (4, 8), subsampling)
    require(part.field("reduction"), None, part.get("reduction", None))
    require(part.field("conv_dual_mode"), False, part.get("conv_dual_mode", False))
    require(part.field("feat_in"), features.mel_bins, part.integer("feat_in", 1, 256))
    require_in(part.field("conv_norm_type"), ("batch_norm", "layer_norm"), part.get("conv_norm_type", "batch_norm"))
    style = part.get("att_context_style", "regular")
    require_in(part.field("att_context_style"), ("regular", "chunked_limited"), style)
    width = part.integer("d_model", 2, 65536)
    heads = part.integer("n_heads", 1, 1024, 4)
    if width % heads or width % 2:
        raise ExportError(part.field("n_heads"), f"a divisor of the even d_model {width}", str(heads), UNSUPPORTED)
    kernel = part.integer("conv_kernel_size", 1, 1023, 31)
    require(part.field("conv_kernel_size") + " modulo 2", 1, kernel % 2)
    channels = part.integer("subsampling_conv_channels", -1, 65536, -1)
    feat_out = part.integer("feat_out", -1, 65536, -1)
    causal = part.truth("causal_downsampling", False)
    # A window is a whole number of encoded frames, of which a causal encoder makes one more.
    frames_max = part.integer("pos_emb_max_len", 2 if causal else 1, 1_000_000, 5000)
    return EncoderConfig(
        features.mel_bins, part.integer("n_layers", 1, 1024), width, heads, width * part.integer("ff_expansion_factor", 1, 64, 4), kernel,
        _kernel_context(part, kernel), part.get("conv_norm_type", "batch_norm"), part.truth("use_bias", True), part.truth("untie_biases", True),
        part.truth("xscaling", True), subsampling, width if channels < 1 else channels,
        causal, _contexts(part, style), style, frames_max,
        feat_out if feat_out > 0 else width,
    )  # fmt: skip


def _durations(root: Section, extra: int) -> tuple[int, ...]:
    """The duration of each of the joint's last outputs, in encoder frames; none for RNN-T."""
    if extra == 0:
        return ()
    listed = (
        root.optional("decoding").get("durations", None)
        or root.optional("model_defaults").get("tdt_durations", None)
        or []
    )
    durations = tuple(whole(one) for one in listed) if isinstance(listed, list) else ()
    if len(durations) != extra or any(one is None or one < 0 for one in durations):
        raise ExportError(
            "decoding.durations", f"{extra} durations, as joint.num_extra_outputs says", repr(listed), UNSUPPORTED
        )
    # Without a 0 no two tokens can stand on one frame, and with 0 alone no token ever moves on; NeMo writes them in order.
    if durations[0] != 0 or len(durations) < 2 or list(durations) != sorted(set(durations)):
        raise ExportError("decoding.durations", "an ascending list from 0 on", repr(listed), UNSUPPORTED)
    return durations


def _transducer(root: Section) -> tuple[PredictorConfig, JointConfig, int]:
    decoder, joint = root.section("decoder"), root.section("joint")
    require(decoder.field("_target_"), "RNNTDecoder", str(decoder.get("_target_")).rsplit(".", 1)[-1])
    require(joint.field("_target_"), "RNNTJoint", str(joint.get("_target_")).rsplit(".", 1)[-1])
    require(decoder.field("normalization_mode"), None, decoder.get("normalization_mode", None))
    require(decoder.field("blank_as_pad"), True, decoder.get("blank_as_pad", True))
    prednet, jointnet = decoder.section("prednet"), joint.section("jointnet")
    width = prednet.integer("pred_hidden", 1, 65536)
    hidden = prednet.integer("rnn_hidden_size", -1, 65536, -1)
    require_in(prednet.field("rnn_hidden_size"), (-1, width), hidden)
    require_in(jointnet.field("activation"), ("relu", "sigmoid", "tanh"), jointnet.get("activation"))
    durations = _durations(root, joint.integer("num_extra_outputs", 0, 64, 0))
    greedy = root.optional("decoding").optional("greedy")
    key = "max_symbols" if greedy.get("max_symbols", None) is not None else "max_symbols_per_step"
    symbols = MAX_SYMBOLS if greedy.get(key, None) is None else greedy.integer(key, 1, 1024)
    predictor = PredictorConfig(prednet.integer("pred_rnn_layers", 1, 64), width)
    return (
        predictor,
        JointConfig(jointnet.integer("joint_hidden", 1, 65536), jointnet.get("activation"), durations),
        symbols,
    )


def _tokenizer(root: Section) -> str:
    part = root.section("tokenizer")
    require(part.field("type"), "bpe", part.get("type"))
    return str(part.get("model_path", None) or "tokenizer.model")


def read_config(values: dict) -> ModelConfig:
    """Checks the mapping of model_config.yaml and returns what the exporter needs of it."""
    root = Section(values)
    target = str(root.get("target")).rsplit(".", 1)[-1]
    require_in("target", tuple(BRANCHES), target)
    features = _features(root)
    encoder = _encoder(root, features)
    if "transducer" not in BRANCHES[target]:
        decoder = root.section("decoder")
        require(decoder.field("_target_"), "ConvASRDecoder", str(decoder.get("_target_")).rsplit(".", 1)[-1])
        return ModelConfig(target, features, encoder, None, None, MAX_SYMBOLS, True, _tokenizer(root), root)
    predictor, joint, symbols = _transducer(root)
    return ModelConfig(
        target, features, encoder, predictor, joint, symbols, "ctc" in BRANCHES[target], _tokenizer(root), root
    )
