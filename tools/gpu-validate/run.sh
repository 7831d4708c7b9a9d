#!/usr/bin/env bash
# Builds, checks and times the GPU path on the machine at hand; see README.md. Exits 0 when nothing failed, 1 when something did, 2
# where there is no GPU or nothing could be built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 exec "${PYTHON:-python3}" -m gpu_validate "$@"
