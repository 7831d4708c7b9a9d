"""ONNX Runtime's own Python package on an encoder: python ort_encoder.py GRAPH THREADS

A line "run ROWS FRAMES" encodes that many rows of that many feature frames and answers with a line of JSON, as tools/bench/native does.
Both inputs are found by their types: features f32 [B, M, T] and lengths i64 [B].
"""

import json
import sys
import time

import numpy as np
import onnxruntime

MEL_BINS = 128


def main() -> None:
    path, threads = sys.argv[1], int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    features = next(told for told in session.get_inputs() if told.type == "tensor(float)")
    lengths = next((told for told in session.get_inputs() if told.type == "tensor(int64)"), None)
    bins = features.shape[1] if isinstance(features.shape[1], int) else MEL_BINS
    random = np.random.default_rng(1)
    for line in sys.stdin:
        _, rows, frames = line.split()
        given = {features.name: random.standard_normal((int(rows), bins, int(frames))).astype(np.float32)}
        if lengths is not None:
            given[lengths.name] = np.full(int(rows), int(frames), np.int64)
        begin = time.perf_counter()
        session.run(None, given)
        ms = (time.perf_counter() - begin) * 1000
        print(json.dumps({"ms": ms, "backend": f"onnxruntime {onnxruntime.__version__} (Python)"}), flush=True)


if __name__ == "__main__":
    main()
