"""Tell AI-doctored product damage from genuine damage: data, detector, evidence."""

import os

# albumentations asks PyPI for a newer release at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# onnxruntime's builds report to their maker, and leave a file in TMPDIR, unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"


class BadInput(Exception):
    """The input or the result is bad; the message names the file and how to mend it.

    The command line prints the message without a traceback and exits with 1.
    """
