"""python -m trt_asr_export MODEL.nemo --layout ours|nemo|sherpa --out FOLDER [--name NAME]"""

import argparse
from pathlib import Path

from . import export_nemo_layout, export_ours, export_sherpa_layout


def main() -> None:
    parser = argparse.ArgumentParser(prog="trt_asr_export", description=__doc__)
    parser.add_argument("model", type=Path, help="a .nemo file of a FastConformer-TDT model")
    parser.add_argument("--layout", choices=("ours", "nemo", "sherpa"), default="ours")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--name", help="the model's name, by default the file's")
    parser.add_argument("--language", action="append", help="repeat for several; by default en")
    parser.add_argument("--license", default="Apache-2.0", help="the SPDX name of the weights' licence")
    arguments = parser.parse_args()

    from nemo.collections.asr.models import EncDecRNNTBPEModel

    model = EncDecRNNTBPEModel.restore_from(str(arguments.model), map_location="cpu").eval()
    name = arguments.name or arguments.model.stem
    if arguments.layout == "ours":
        export_ours(model, arguments.out, name, arguments.language or ("en",), arguments.license)
    elif arguments.layout == "nemo":
        export_nemo_layout(model, arguments.out)
    else:
        export_sherpa_layout(model, arguments.out, name)


if __name__ == "__main__":
    main()
