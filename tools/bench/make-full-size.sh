#!/bin/sh
# The full-size models that the benchmarks are run on: the architecture of Parakeet-TDT 0.6B with random weights, in our own int8 form
# and in the peer's layout, before and after a speaking pace was set. About 11 GB of disk, 9 GB of memory and 15 minutes.
#
#   sh tools/bench/make-full-size.sh FOLDER        PYTHON=... names a Python with tools/export and nemo_toolkit[asr]==2.7.3
#
# FOLDER/own-raw, FOLDER/peer-raw   as the random weights are;   FOLDER/own, FOLDER/peer   at 3.5 tokens a second;
# FOLDER/same   the weights of FOLDER/peer as published, packed. About 0.65 GB each: for --raw-full, --raw-peer-model, --full,
# --peer-model and --same. The rest can be deleted: full.nemo, own-fp32-raw (2.4 GB each), own-fp32 and peer-fp32.
# It needs a built checkout: npm run build.
# The weights come from a seed, so that everybody gets the same ones; they are never committed. They are bell-shaped, as trained ones are:
# how the codes of a published int8 file spread decides how many products our kernels add in 16 bits.
set -eu
folder=${1:?usage: make-full-size.sh FOLDER}
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
export PYTHONPATH="$root/tools/export:$root/tools/golden"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

[ -f "$folder/full.nemo" ] || "$python" - "$folder/full.nemo" <<'PYTHON'
import sys
from pathlib import Path
from trt_asr_export.random_model import write_random_archive
write_random_archive(Path(sys.argv[1]), "tdt", 42, "full", bell_shaped=True)
PYTHON

# optimize FROM TO PRECISION: where TO is, it is whole.
optimize() {
  [ -d "$2" ] || node "$root/dist/cli/main.js" models optimize "$1" --output "$2" --precision "$3"
}

[ -f "$folder/own-fp32-raw/contract.json" ] ||
  "$python" -m trt_asr_export "$folder/full.nemo" "$folder/own-fp32-raw" --precision fp32 --name full --force

# The peer's layout as its users have it: NeMo's own export, quantised by ONNX Runtime, the int8 files alone.
[ -f "$folder/peer-raw/tokens.txt" ] || "$python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path
import torch
from nemo.collections.asr.models import ASRModel
from trt_asr_golden.foreign_layouts import export_sherpa_layout

folder = Path(sys.argv[1])
model = ASRModel.restore_from(str(folder / "full.nemo"), map_location="cpu").eval()
with torch.no_grad():
    export_sherpa_layout(model, folder / "peer-fp32", "full-tdt", int8=True)
raw = folder / "peer-raw"
raw.mkdir(exist_ok=True)
for name in ("encoder", "decoder", "joiner"):
    (folder / "peer-fp32" / f"{name}.int8.onnx").rename(raw / f"{name}.onnx")
(raw / "tokens.txt").write_bytes((folder / "peer-fp32" / "tokens.txt").read_bytes())
PYTHON

node -e "require('$root/tools/bench/audio.js').convertToWav('$root/examples/long.mp3', '$folder/speech.wav')"
"$python" "$root/tools/bench/emission.py" "$folder/peer-raw" "$folder/peer" --audio "$folder/speech.wav"
"$python" "$root/tools/bench/emission.py" "$folder/own-fp32-raw" "$folder/own-fp32" --offsets "$folder/peer/emission.json"
# ONNX Runtime takes weights beside a graph alone, not where a link leads.
for file in "$folder"/own-fp32/*; do
  [ ! -L "$file" ] || ln -f "$(readlink "$file")" "$file"
done

optimize "$folder/own-fp32-raw" "$folder/own-raw" int8
optimize "$folder/own-fp32" "$folder/own" int8
optimize "$folder/peer" "$folder/same" as-published
