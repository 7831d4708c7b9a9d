"""python -m trt_asr_export, the same as trt-asr-export."""

import sys

from .cli import main

sys.exit(main())
