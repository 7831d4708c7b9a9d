"""Makes test fixtures from NeMo: python tools/golden/make.py SET... (see README.md beside this file)."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOOLS / "golden"), str(TOOLS / "export")]
FIXTURES = TOOLS.parent / "test" / "fixtures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=("models",))
    parser.add_argument("--out", type=Path, default=FIXTURES, help="the fixtures folder")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")

    import torch

    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if "models" in arguments.sets:
        from trt_asr_golden import models

        models.make(arguments.out / "models")


if __name__ == "__main__":
    main()
