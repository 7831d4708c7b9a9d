import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "export")]


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """One archive and one export a variant, however many tests ask for it."""
    from trt_asr_parity.ci import Bench
    from trt_asr_parity.variants import named

    # Graphs as small as these are slower with two threads.
    torch.set_num_threads(1)
    made = {}

    def of(name: str) -> Bench:
        if name not in made:
            variant = named([name])[0]
            made[name] = Bench(variant, tmp_path_factory.mktemp(name))
            made[name].exports()
        return made[name]

    return of
