"""Written by `npm run generate` from contracts/parakeet-tdt-0.6b-v3.contract.json and contracts/schema.json."""

SCHEMA = "trt-asr-contract/1"

TOLERANCES = {
    "log_mel": {"absolute": 0.0003, "relative": 0},
    "features": {"absolute": 0.001, "relative": 0},
    "encoder": {"absolute": 0.0001, "relative": 0.0001},
    "predictor": {"absolute": 0.0001, "relative": 0.0001},
    "joint": {"absolute": 0.0001, "relative": 0.0001},
    "cache_last_channel": {"absolute": 0.0001, "relative": 0.0001},
    "cache_last_time": {"absolute": 0.1, "relative": 0},
}

TENSORRT_PROFILES = {
    "encoder": {
        "batch": {"min": 1, "opt": 1, "max": 8},
        "frames": {"min": 16, "opt": 1500, "max": 3000},
    },
    "predictor": {
        "batch": {"min": 1, "opt": 8, "max": 64},
    },
    "joint": {
        "batch": {"min": 1, "opt": 8, "max": 64},
    },
}

LATENCY = {
    "budget_ms": {"min": 100, "max": 150},
}

# fmt: off
CONTRACT_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "model", "precision", "features", "timebase", "tokenizer", "encoder", "decode"],
    "properties": {
        "schema": {"const": "trt-asr-contract/1"},
        "model": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "architecture", "languages", "license"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 128},
                "architecture": {"type": "string", "minLength": 1, "maxLength": 128},
                "languages": {
                    "type": "array",
                    "maxItems": 256,
                    "items": {"type": "string", "minLength": 2, "maxLength": 35},
                },
                "license": {"type": "string", "minLength": 1, "maxLength": 128},
            },
        },
        "precision": {
            "enum": ["fp32", "fp16", "int8"],
        },
        "features": {"$ref": "#/definitions/features"},
        "timebase": {
            "type": "object",
            "additionalProperties": False,
            "required": ["hop_ms", "frame_ms"],
            "properties": {
                "hop_ms": {"type": "number", "exclusiveMinimum": 0, "maximum": 65536},
                "frame_ms": {"type": "number", "exclusiveMinimum": 0, "maximum": 4194304},
            },
        },
        "tokenizer": {
            "type": "object",
            "additionalProperties": False,
            "required": ["kind", "file", "vocabulary", "unk_id"],
            "properties": {
                "kind": {
                    "enum": ["sentencepiece"],
                },
                "file": {"$ref": "#/definitions/file_name"},
                "vocabulary": {"$ref": "#/definitions/vocabulary"},
                "unk_id": {"type": "integer", "minimum": 0, "maximum": 1048575},
            },
        },
        "encoder": {
            "type": "object",
            "additionalProperties": False,
            "required": [
                "layers",
                "width",
                "heads",
                "feed_forward_width",
                "convolution_kernel",
                "subsampling",
                "causal_subsampling",
                "subsampling_channels",
                "frames_max",
                "attention_context",
                "output_width",
                "projected",
            ],
            "properties": {
                "file": {"$ref": "#/definitions/file_name"},
                "layers": {"$ref": "#/definitions/layers"},
                "width": {"$ref": "#/definitions/width"},
                "heads": {"type": "integer", "minimum": 1, "maximum": 1024},
                "feed_forward_width": {"type": "integer", "minimum": 1, "maximum": 1048576},
                "convolution_kernel": {"type": "integer", "minimum": 1, "maximum": 1024},
                "subsampling": {"$ref": "#/definitions/subsampling"},
                "causal_subsampling": {"type": "boolean"},
                "subsampling_channels": {"$ref": "#/definitions/width"},
                "frames_max": {"$ref": "#/definitions/frames_max"},
                "attention_context": {"$ref": "#/definitions/attention_context"},
                "output_width": {"type": "integer", "minimum": 1, "maximum": 1048577},
                "projected": {"type": "boolean"},
                "inputs": {"$ref": "#/definitions/tensors"},
                "outputs": {"$ref": "#/definitions/tensors"},
            },
        },
        "predictor": {
            "type": "object",
            "additionalProperties": False,
            "required": ["file", "layers", "width", "inputs", "outputs"],
            "properties": {
                "file": {"$ref": "#/definitions/file_name"},
                "layers": {"$ref": "#/definitions/layers"},
                "width": {"$ref": "#/definitions/width"},
                "inputs": {"$ref": "#/definitions/tensors"},
                "outputs": {"$ref": "#/definitions/tensors"},
            },
        },
        "joint": {
            "type": "object",
            "additionalProperties": False,
            "required": ["file", "width", "tokens", "durations", "inputs", "outputs"],
            "properties": {
                "file": {"$ref": "#/definitions/file_name"},
                "width": {"$ref": "#/definitions/width"},
                "tokens": {"type": "integer", "minimum": 2, "maximum": 1048577},
                "durations": {"type": "integer", "minimum": 0, "maximum": 64},
                "inputs": {"$ref": "#/definitions/tensors"},
                "outputs": {"$ref": "#/definitions/tensors"},
            },
        },
        "decode": {
            "type": "object",
            "additionalProperties": False,
            "required": ["rule", "blank_id"],
            "properties": {
                "rule": {
                    "enum": ["tdt", "rnnt", "ctc"],
                },
                "blank_id": {"$ref": "#/definitions/vocabulary"},
                "durations": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 64,
                    "items": {"type": "integer", "minimum": 0, "maximum": 1024},
                },
                "max_symbols_per_frame": {"$ref": "#/definitions/max_symbols_per_frame"},
            },
        },
        "streaming": {"$ref": "#/definitions/streaming"},
        "tensorrt": {
            "type": "object",
            "additionalProperties": False,
            "required": ["profiles"],
            "properties": {
                "profiles": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["encoder"],
                    "properties": {
                        "encoder": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["batch", "frames"],
                            "properties": {
                                "batch": {"$ref": "#/definitions/profile"},
                                "frames": {"$ref": "#/definitions/profile"},
                            },
                        },
                        "predictor": {"$ref": "#/definitions/batch_profile"},
                        "joint": {"$ref": "#/definitions/batch_profile"},
                    },
                },
            },
        },
        "latency": {
            "type": "object",
            "additionalProperties": False,
            "required": ["budget_ms"],
            "properties": {
                "budget_ms": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["min", "max"],
                    "properties": {
                        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 600000},
                        "max": {"type": "number", "exclusiveMinimum": 0, "maximum": 600000},
                    },
                },
            },
        },
        "tolerances": {
            "type": "object",
            "maxProperties": 32,
            "propertyNames": {"type": "string", "maxLength": 64, "pattern": "^[a-z][a-z0-9_]*$"},
            "additionalProperties": {"$ref": "#/definitions/tolerance"},
        },
        "files": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 64,
            "propertyNames": {"$ref": "#/definitions/file_name"},
            "additionalProperties": {"$ref": "#/definitions/pin"},
        },
    },
    "definitions": {
        "file_name": {"type": "string", "maxLength": 255, "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$"},
        "width": {"type": "integer", "minimum": 1, "maximum": 65536},
        "layers": {"type": "integer", "minimum": 1, "maximum": 1024},
        "vocabulary": {"type": "integer", "minimum": 1, "maximum": 1048576},
        "subsampling": {"type": "integer", "minimum": 1, "maximum": 64},
        "frames_max": {"type": "integer", "minimum": 1, "maximum": 1000000},
        "max_symbols_per_frame": {"type": "integer", "minimum": 1, "maximum": 1024},
        "frames": {"type": "integer", "minimum": 0, "maximum": 1000000},
        "attention_context": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "integer", "minimum": -1, "maximum": 1000000},
        },
        "features": {
            "type": "object",
            "additionalProperties": False,
            "required": [
                "sample_rate_hz",
                "mel_bins",
                "fft_samples",
                "window_samples",
                "hop_samples",
                "pre_emphasis",
                "mel_low_hz",
                "mel_high_hz",
                "log_guard",
                "normalization",
                "normalization_epsilon",
            ],
            "properties": {
                "sample_rate_hz": {"type": "integer", "minimum": 1000, "maximum": 384000},
                "mel_bins": {"type": "integer", "minimum": 1, "maximum": 256},
                "fft_samples": {
                    "enum": [64, 128, 256, 512, 1024, 2048, 4096],
                },
                "window_samples": {"type": "integer", "minimum": 2, "maximum": 4096},
                "hop_samples": {"type": "integer", "minimum": 1, "maximum": 4096},
                "pre_emphasis": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
                "mel_low_hz": {"type": "number", "minimum": 0, "maximum": 192000},
                "mel_high_hz": {"type": "number", "exclusiveMinimum": 0, "maximum": 192000},
                "log_guard": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "normalization": {
                    "enum": ["none", "per_feature"],
                },
                "normalization_epsilon": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "tensor": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "dtype", "layout", "shape"],
            "properties": {
                "name": {"type": "string", "maxLength": 128, "pattern": "^[A-Za-z_][A-Za-z0-9_.]*$"},
                "dtype": {
                    "enum": ["f32", "f16", "i32", "i64"],
                },
                "layout": {"type": "string", "pattern": "^[A-Z1]{1,4}$"},
                "shape": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 4,
                    "items": {
                        "anyOf": [
                            {"type": "integer", "minimum": 1, "maximum": 1048641},
                            {"type": "string", "maxLength": 16, "pattern": "^[A-Z][A-Za-z0-9]*$"},
                        ],
                    },
                },
            },
        },
        "tensors": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": {"$ref": "#/definitions/tensor"},
        },
        "first_next": {
            "type": "object",
            "additionalProperties": False,
            "required": ["first", "next"],
            "properties": {
                "first": {"$ref": "#/definitions/frames"},
                "next": {"$ref": "#/definitions/frames"},
            },
        },
        "streaming": {
            "type": "object",
            "additionalProperties": False,
            "required": [
                "file",
                "chunk_frames",
                "pre_encode_frames",
                "drop_extra_encoded_frames",
                "output_frames",
                "cache_channel_frames",
                "cache_time_frames",
                "cache_drop_frames",
                "attention_context",
                "inputs",
                "outputs",
            ],
            "properties": {
                "file": {"$ref": "#/definitions/file_name"},
                "chunk_frames": {"$ref": "#/definitions/first_next"},
                "shift_frames": {"$ref": "#/definitions/first_next"},
                "pre_encode_frames": {"$ref": "#/definitions/first_next"},
                "first_padding_frames": {"$ref": "#/definitions/frames"},
                "drop_extra_encoded_frames": {"$ref": "#/definitions/first_next"},
                "output_frames": {"$ref": "#/definitions/frames"},
                "cache_channel_frames": {"$ref": "#/definitions/frames"},
                "cache_time_frames": {"$ref": "#/definitions/frames"},
                "cache_drop_frames": {"$ref": "#/definitions/frames"},
                "attention_context": {"$ref": "#/definitions/attention_context"},
                "parity": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["chunk_frames", "cache_drop_frames", "chunks", "seed"],
                    "properties": {
                        "chunk_frames": {"$ref": "#/definitions/frames"},
                        "cache_drop_frames": {"$ref": "#/definitions/frames"},
                        "chunks": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 8,
                            "items": {"type": "integer", "minimum": 1, "maximum": 1000000},
                        },
                        "seed": {"type": "integer", "minimum": 0, "maximum": 4294967295},
                    },
                },
                "inputs": {"$ref": "#/definitions/tensors"},
                "outputs": {"$ref": "#/definitions/tensors"},
            },
        },
        "profile": {
            "type": "object",
            "additionalProperties": False,
            "required": ["min", "opt", "max"],
            "properties": {
                "min": {"type": "integer", "minimum": 1, "maximum": 1000000},
                "opt": {"type": "integer", "minimum": 1, "maximum": 1000000},
                "max": {"type": "integer", "minimum": 1, "maximum": 1000000},
            },
        },
        "batch_profile": {
            "type": "object",
            "additionalProperties": False,
            "required": ["batch"],
            "properties": {
                "batch": {"$ref": "#/definitions/profile"},
            },
        },
        "tolerance": {
            "type": "object",
            "additionalProperties": False,
            "required": ["absolute"],
            "properties": {
                "absolute": {"type": "number", "minimum": 0, "maximum": 1000},
                "relative": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "pin": {
            "type": "object",
            "additionalProperties": False,
            "required": ["bytes", "sha256"],
            "properties": {
                "bytes": {"type": "integer", "minimum": 0, "maximum": 1099511627776},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
        },
    },
}
