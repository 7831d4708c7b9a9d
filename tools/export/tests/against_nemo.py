"""Our modules beside NeMo's, on the same random archives: python tools/export/tests/against_nemo.py [KIND...]

Needs nemo_toolkit 2.7.3; it is not collected by pytest. Prints the largest difference of each stage and exits 1 when one passes 1e-5.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from trt_asr_export import archive, random_model
from trt_asr_export.checkpoint import Checkpoint
from trt_asr_export.config import read_config
from trt_asr_export.mel import LogMel
from trt_asr_export.model import build
from trt_asr_export.nn.encoder import StreamingEncoder
from trt_asr_export.streaming import plan_for
from trt_asr_export.tokenizer import load_pieces

TOLERANCE = 1e-5
# SOURCE: float32 against float64 of NeMo's own front end differs by so much on noise (docs of the goldens).
MEL_TOLERANCE = 3e-4
CHUNKS = 24

# name: kind, changes to the encoder, options of the streaming plan (chunk frames, cache, drop) or None.
CASES = {
    "tdt": ("tdt", {}, None),
    "ctc": ("ctc", {}, None),
    "rnnt": ("rnnt", {"xscaling": True, "use_bias": True}, None),
    "hybrid_tdt": ("hybrid_tdt", {"subsampling_factor": 4}, None),
    "hybrid_rnnt": ("hybrid_rnnt", {"att_context_size": [12, 3]}, None),
    "cache_aware_ctc": ("cache_aware_ctc", {}, (None, None, None)),
    "cache_aware_rnnt": ("cache_aware_rnnt", {"att_context_size": [70, 0]}, (None, None, None)),
    "cache_aware_hybrid": (
        "cache_aware_hybrid",
        {"att_context_size": [20, 0], "att_context_style": "regular"},
        (None, None, None),
    ),
    "cache_aware_quarter": (
        "cache_aware_ctc",
        {"subsampling_factor": 4, "att_context_size": [28, 6]},
        (None, None, None),
    ),
    "tdt_streamed_592": ("tdt", {}, ("592", 256, 0)),
    "tdt_streamed_41_57": ("tdt", {}, ("41,57", 256, 3)),
}


class Report:
    def __init__(self):
        self.failed = False

    def compare(self, stage: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
        if ours.shape != theirs.shape:
            self.failed = True
            print(f"  {stage}: FAILED, shape {tuple(ours.shape)} beside {tuple(theirs.shape)}")
            return
        # Relative above 1: a log probability of -25 has 24 bits like any other number.
        scale = theirs.double().abs().clamp(min=1.0)
        apart = float(((ours.double() - theirs.double()).abs() / scale).max()) if ours.numel() else 0.0
        passed = apart <= tolerance
        self.failed |= not passed
        print(f"  {stage}: {'ok' if passed else 'FAILED'} {apart:.2e}")


def valid(x_BTD: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    return torch.cat([row[: int(length)] for row, length in zip(x_BTD, lengths_B)])


def ours_of(path: Path, scratch: Path):
    with archive.opened(path, scratch) as opened:
        config = read_config(opened.config)
        pieces = load_pieces(opened.file(config.tokenizer_model, "tokenizer.model_path"))
        return build(config, pieces.get_piece_size(), Checkpoint(archive.load_tensors(opened.weights)))


def theirs_of(path: Path, target: str):
    from nemo.collections.asr import models

    return getattr(models, target).restore_from(str(path), map_location="cpu").eval()


def check_front_end(report: Report, ours, theirs) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([40000, 63990, 17, 31999])
    samples = torch.randn(4, 63990, generator=generator) * torch.rand(4, 1, generator=generator)
    samples.masked_fill_(torch.arange(63990)[None] >= lengths[:, None], 0.0)
    expected, expected_frames = theirs.preprocessor(input_signal=samples, length=lengths)
    features, frames = LogMel(ours.config.features)(samples, lengths)
    report.compare("mel frames", frames, expected_frames, 0)
    report.compare("mel", features, expected, MEL_TOLERANCE)
    return expected, expected_frames


def check_offline(report: Report, ours, theirs) -> None:
    features, frames = check_front_end(report, ours, theirs)
    expected, expected_lengths = theirs.encoder(audio_signal=features, length=frames)
    encoded, lengths = ours.encoder(features, frames)
    report.compare("encoded lengths", lengths, expected_lengths, 0)
    report.compare("encoded", valid(encoded, lengths), valid(expected.transpose(1, 2), lengths))
    if ours.ctc is not None:
        head = theirs.decoder if ours.predictor is None else theirs.ctc_decoder
        report.compare("log_probs", valid(ours.ctc(encoded), lengths), valid(head(encoder_output=expected), lengths))
    if ours.predictor is not None:
        check_transducer(report, ours, theirs, encoded)


def check_transducer(report: Report, ours, theirs, encoded: torch.Tensor) -> None:
    theirs.joint.log_softmax = False
    config = ours.predictor.config
    state = (torch.zeros(config.layers, 3, config.width),) * 2
    expected_state = None
    for token in ([ours.vocabulary] * 3, [1, 5, 300], [7, 7, 7]):
        targets = torch.tensor(token, dtype=torch.int32)[:, None]
        predicted, *state = ours.predictor(targets, *state)
        expected, expected_state = theirs.decoder.predict(targets.long(), expected_state, add_sos=False)
    report.compare("predicted", predicted, expected)
    report.compare("state", torch.stack(list(state)), torch.stack(list(expected_state)))
    logits = ours.joint(encoded[:3, :1], predicted)
    report.compare("logits", logits, theirs.joint.joint(encoded[:3, :1], expected)[:, 0, 0])


def set_up(encoder, plan) -> None:
    """Gives NeMo's encoder the plan's numbers, as its setup_streaming_params would with chunk_size and shift_size."""
    encoder.setup_streaming_params(
        chunk_size=plan.output_frames + plan.cache_drop_frames, shift_size=plan.output_frames, left_chunks=1
    )
    encoder.streaming_cfg.last_channel_cache_size = plan.cache_channel_frames


def check_plan(report: Report, plan, theirs) -> None:
    expected = theirs.encoder.streaming_cfg
    ours = [plan.chunk_first, plan.chunk_next, plan.shift_first, plan.shift_next, 0, plan.pre_encode, plan.drop_encoded_frames, plan.output_frames,
            plan.cache_channel_frames, plan.cache_drop_frames]  # fmt: skip
    numbers = [*expected.chunk_size, *expected.shift_size, *expected.pre_encode_cache_size, expected.drop_extra_pre_encoded, expected.valid_out_len,
               expected.last_channel_cache_size, expected.cache_drop_size]  # fmt: skip
    report.compare("streaming plan", torch.tensor(ours), torch.tensor(numbers), 0)


def check_streaming(report: Report, ours, theirs, options) -> None:
    config = ours.config.encoder
    plan = plan_for(config, ours.encoder.context, *options)
    if options != (None, None, None):
        set_up(theirs.encoder, plan)
    check_plan(report, plan, theirs)
    step = StreamingEncoder(ours.encoder, plan).eval()
    rows, total = 2, plan.chunk_first + plan.shift_next * CHUNKS
    features = torch.randn(rows, config.mel_bins, total, generator=torch.Generator().manual_seed(5))
    # The second row ends in the middle of the last chunk but two.
    ends = torch.tensor([total, total - 2 * plan.shift_next - 5])
    caches = (torch.zeros(rows, config.layers, plan.cache_channel_frames, config.width),
              torch.zeros(rows, config.layers, config.width, plan.cache_time_frames), torch.zeros(rows, dtype=torch.int64))  # fmt: skip
    expected_caches = theirs.encoder.get_initial_cache_state(batch_size=rows)
    outputs, expected_outputs, at, last = [], [], 0, [0.0, 0.0, 0.0]
    while at + (plan.chunk_next if at else plan.chunk_first) <= total:
        first = at == 0
        take = plan.chunk_first if first else plan.chunk_next
        before = 0 if first else plan.pre_encode
        # Where a second chunk has fewer frames before it than the subsampling wants, NeMo feeds zeros.
        chunk = torch.nn.functional.pad(features[:, :, max(at - before, 0) : at + take], (max(before - at, 0), 0))
        lengths = (ends - at + before).clamp(min=0, max=take + before)
        expected = theirs.encoder.cache_aware_stream_step(
            processed_signal=chunk, processed_signal_length=lengths, cache_last_channel=expected_caches[0], cache_last_time=expected_caches[1],
            cache_last_channel_len=expected_caches[2], keep_all_outputs=False, drop_extra_pre_encoded=0 if first else plan.drop_encoded_frames,
        )  # fmt: skip
        pad = plan.first_padding_frames if first else 0
        result = step(torch.nn.functional.pad(chunk, (pad, 0), value=9.0), lengths + pad, *caches)
        caches, expected_caches = result[2:], expected[2:]
        outputs.append(valid(result[0], result[1]))
        expected_outputs.append(valid(expected[0].transpose(1, 2), expected[1]))
        for index, (mine, theirs_next) in enumerate(
            zip(caches, (expected[2].transpose(0, 1), expected[3].transpose(0, 1), expected[4]))
        ):
            last[index] = max(last[index], float((mine - theirs_next).abs().max()))
        at += plan.shift_first if first else plan.shift_next
    print(f"  {len(outputs)} chunks of {plan.input_frames} mel frames")
    report.compare("streamed", torch.cat(outputs), torch.cat(expected_outputs))
    for name, apart in zip(("cache_last_channel", "cache_last_time", "cache_last_channel_len"), last):
        report.compare(name, torch.tensor([apart]), torch.zeros(1))


def main() -> None:
    warnings.filterwarnings("ignore")
    from nemo.utils import logging as nemo_logging

    logging.getLogger().setLevel(logging.ERROR)
    nemo_logging.setLevel(nemo_logging.CRITICAL)
    torch.set_num_threads(1)
    report = Report()
    for name in sys.argv[1:] or CASES:
        kind, changes, options = CASES[name]
        print(name)
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            path, scratch = Path(folder) / "model.nemo", Path(folder) / "scratch"
            scratch.mkdir()
            with torch.inference_mode(False):
                random_model.write_random_archive(path, kind, 11, **changes)
            ours = ours_of(path, scratch)
            theirs = theirs_of(path, ours.config.target)
            check_offline(report, ours, theirs)
            if options is not None:
                check_streaming(report, ours, theirs, options)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
