"""Written by `npm run generate` from contracts/parakeet-tdt-0.6b-v3.contract.json."""

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
