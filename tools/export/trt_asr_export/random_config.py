"""model_config.yaml of the random models, with the values of the published ones of the same kind."""

KINDS = ("tdt", "rnnt", "ctc", "hybrid_tdt", "hybrid_rnnt", "cache_aware_ctc", "cache_aware_rnnt", "cache_aware_tdt",
         "cache_aware_hybrid")  # fmt: skip
SIZES = ("tiny", "full")

MODULES = "nemo.collections.asr.modules."
TARGETS = {
    "transducer": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
    "ctc": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE",
    "hybrid": "nemo.collections.asr.models.hybrid_rnnt_ctc_bpe_models.EncDecHybridRNNTCTCBPEModel",
}
DURATIONS = [0, 1, 2, 3, 4]

TINY = {"width": 32, "layers": 2, "heads": 2, "expansion": 2, "channels": 8, "hidden": 32, "pieces": 352, "frames": 400}
# SOURCE: the model_config.yaml of nvidia/parakeet-tdt-0.6b-v3.
FULL_TDT = {
    "width": 1024,
    "layers": 24,
    "heads": 8,
    "expansion": 4,
    "channels": 256,
    "hidden": 640,
    "pieces": 8192,
    "frames": 5000,
}
# SOURCE: NeMo's examples/asr/conf/fastconformer/fast-conformer_ctc_bpe.yaml, the large model; 1024 pieces as it recommends.
FULL_CTC = {"width": 512, "layers": 18, "heads": 8, "expansion": 4, "channels": 256, "pieces": 1024, "frames": 5000}
FULL_SIZES = {"tdt": FULL_TDT, "ctc": FULL_CTC}


def _preprocessor(bins: int, normalize: str) -> dict:
    return {
        "_target_": MODULES + "AudioToMelSpectrogramPreprocessor", "sample_rate": 16000, "normalize": normalize, "window_size": 0.025,
        "window_stride": 0.01, "window": "hann", "features": bins, "n_fft": 512, "frame_splicing": 1, "dither": 1e-5, "pad_to": 0,
    }  # fmt: skip


def _encoder(bins: int, sizes: dict) -> dict:
    return {
        "_target_": MODULES + "ConformerEncoder", "feat_in": bins, "feat_out": -1, "n_layers": sizes["layers"], "d_model": sizes["width"],
        "subsampling": "dw_striding", "subsampling_factor": 8, "subsampling_conv_channels": sizes["channels"], "causal_downsampling": False,
        "ff_expansion_factor": sizes["expansion"], "self_attention_model": "rel_pos", "n_heads": sizes["heads"], "att_context_size": [-1, -1],
        "att_context_style": "regular", "xscaling": False, "untie_biases": True, "pos_emb_max_len": sizes["frames"], "conv_kernel_size": 9,
        "conv_norm_type": "batch_norm", "conv_context_size": None, "use_bias": False, "dropout": 0.0, "dropout_pre_encoder": 0.0,
        "dropout_emb": 0.0, "dropout_att": 0.0, "stochastic_depth_drop_prob": 0.0, "sync_max_audio_length": False,
    }  # fmt: skip


# SOURCE: the causal models of NVIDIA (stt_en_fastconformer_*_streaming): causal convolutions, layer norm, chunked attention.
CACHE_AWARE = {
    "causal_downsampling": True, "conv_context_size": "causal", "conv_norm_type": "layer_norm", "att_context_style": "chunked_limited",
    "att_context_size": [[70, 13], [70, 6], [70, 1], [70, 0]], "xscaling": True, "use_bias": True,
}  # fmt: skip


def _decoder(sizes: dict, layers: int) -> dict:
    prednet = {"pred_hidden": sizes["hidden"], "pred_rnn_layers": layers, "t_max": None, "dropout": 0.0}
    return {
        "_target_": MODULES + "RNNTDecoder", "normalization_mode": None, "random_state_sampling": False, "blank_as_pad": True,
        "vocab_size": sizes["pieces"], "prednet": prednet,
    }  # fmt: skip


def _joint(sizes: dict, extra: int) -> dict:
    jointnet = {
        "joint_hidden": sizes["hidden"],
        "activation": "relu",
        "dropout": 0.0,
        "encoder_hidden": sizes["width"],
        "pred_hidden": sizes["hidden"],
    }
    joint = {
        "_target_": MODULES + "RNNTJoint",
        "log_softmax": None,
        "num_classes": sizes["pieces"],
        "jointnet": jointnet,
    }
    return joint | ({"num_extra_outputs": extra} if extra else {})


def _ctc(sizes: dict) -> dict:
    return {
        "_target_": MODULES + "ConvASRDecoder",
        "feat_in": sizes["width"],
        "num_classes": sizes["pieces"],
        "vocabulary": [],
    }


def _transducer(sizes: dict, tdt: bool, layers: int) -> dict:
    greedy = {"max_symbols": 10}
    decoding = {"strategy": "greedy_batch", "greedy": greedy, "beam": {"beam_size": 2, "return_best_hypothesis": True}}
    defaults = {"enc_hidden": sizes["width"], "pred_hidden": sizes["hidden"], "joint_hidden": sizes["hidden"]}
    if tdt:
        decoding |= {"model_type": "tdt", "durations": DURATIONS}
        defaults |= {"tdt_durations": DURATIONS, "num_tdt_durations": len(DURATIONS)}
    return {
        "model_defaults": defaults, "decoder": _decoder(sizes, layers), "joint": _joint(sizes, len(DURATIONS) if tdt else 0),
        "decoding": decoding, "loss": {"loss_name": "warprnnt_numba", "warprnnt_numba_kwargs": {"fastemit_lambda": 0.0}},
    }  # fmt: skip


def configuration(kind: str, size: str | dict, changes: dict) -> dict:
    """The configuration of a random model; its key `pieces` says how many pieces the tokenizer must have.

    `size` is one of SIZES, or changes of the tiny one's numbers.
    """
    known = isinstance(size, dict) or size in SIZES
    if kind not in KINDS or not known or (size == "full" and kind not in FULL_SIZES):
        raise ValueError(f"expected a kind of {KINDS} and a size of {SIZES} (full: tdt, ctc), received {kind}, {size}")
    sizes = TINY | size if isinstance(size, dict) else TINY if size == "tiny" else FULL_SIZES[kind]
    cache_aware = kind.startswith("cache_aware")
    # Parakeet v3 has 128 bins, normalised; the CTC and streaming models have 80, as they are.
    bins, normalize = (80, "NA") if cache_aware or kind == "ctc" else (128, "per_feature")
    encoder = _encoder(bins, sizes) | (CACHE_AWARE if cache_aware else {}) | changes
    family = "hybrid" if "hybrid" in kind else "ctc" if kind.endswith("ctc") else "transducer"
    values = {
        "target": TARGETS[family], "sample_rate": 16000, "log_prediction": False, "compute_eval_loss": False, "train_ds": None,
        "validation_ds": {"manifest_filepath": None, "sample_rate": 16000, "batch_size": 1, "shuffle": False}, "test_ds": None,
        "tokenizer": {"dir": "tokenizer", "type": "bpe"}, "preprocessor": _preprocessor(bins, normalize), "encoder": encoder,
    }  # fmt: skip
    if family == "ctc":
        values |= {"decoder": _ctc(sizes), "decoding": {"strategy": "greedy"}}
    else:
        values |= _transducer(sizes, kind.endswith("tdt"), 1 if cache_aware else 2)
    if family == "hybrid":
        values["aux_ctc"] = {
            "ctc_loss_weight": 0.3,
            "use_cer": False,
            "decoder": _ctc(sizes),
            "decoding": {"strategy": "greedy"},
        }
    return values | {"pieces": sizes["pieces"], "nemo_version": "2.7.3"}
