"""Look for a visible AI mark, such as "AI生成", along the edges of a picture, by offline OCR.

GB 45438-2025, 5.1: the text holds an AI word and a word for making; 5.2: in pictures it stands
at an edge or in a corner, its height at least 5 % of the shorter side. Models come with the
`rapidocr` package; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from damagenet.claims.heatmaps import Array
from damagenet.claims.statements import Label, cut

REMEDY = "install damagenet[ocr]"
SHORT_SIDE = 640
"""Pixels to which a larger picture is shrunk; the smallest mark is then 32 pixels high."""
LONG_SIDE = 2560
"""Pixels; of still longer pictures only the two ends are read."""
BAND = 0.2
"""Share of the height at the top and the bottom, and of the width at the sides, that is read."""
SURE = 0.6
"""Confidence of the OCR from which a text counts."""
_AI = r"(?:人工智[能慧]|A[Iil1|丨])"
_BETWEEN = r"[\s\-_·]*(?:技术|技術|模型|大模型|工具|软件|辅助|内容|图片|图像|创作|自动)?[\s\-_·]*"
_ENGLISH = r"(?:generated|created|edited|synthesi[sz]ed)"
MARK = re.compile(
    rf"{_AI}{_BETWEEN}(?:生成|合成)"
    rf"|(?<![A-Za-z])A[Il1|][\s\-_]*(?i:{_ENGLISH})(?![a-z])"
    rf"|(?i:(?:{_ENGLISH}|made)\s*(?:by|with|using)\s*)A[Il1|](?![A-Za-z])"
)
"""What counts as a mark. OCR takes the I of AI for l, 1 or |."""


def marks(pixels: Array) -> list[Label]:
    """Visible AI marks, at most one for each edge; empty when `rapidocr` is not installed.

    Text in a picture may have been photographed with the product, so a mark is a 'hint'.

    Args:
        pixels: uint8 RGB `[h, w, 3]`, upright.
    """
    engine = _engine()
    if engine is None:
        return []
    found = []
    for place, strip in _strips(pixels):
        result = engine(strip[..., ::-1])  # it expects BGR, as OpenCV reads pictures
        texts = zip(result.txts or (), result.scores or (), strict=True)
        line = " ".join(text for text, score in texts if score >= SURE)
        mark = MARK.search(line)
        if mark:
            finding = f"The picture bears the text “{cut(mark[0])}” at its {place} edge, as AI "
            finding += "services mark their pictures; look whether it was laid over the picture."
            value = {"text": cut(line), "edge": place}
            found.append(Label("visible mark", "pixels", "hint", True, finding, value))
    return found


@cache
def _engine() -> Callable[..., Any] | None:
    """The OCR on one thread, its models loaded at first use; None when not installed."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        return None
    engine: Callable[..., Any] = RapidOCR(
        params={
            "Global.log_level": "critical",  # it warns of every picture without text
            "Global.use_cls": False,  # marks stand upright
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "Det.limit_type": "max",
            "Det.limit_side_len": LONG_SIDE // 2,
        }
    )
    return engine


def _strips(pixels: Array) -> list[tuple[str, Array]]:
    """The four edges, (name, RGB): top and bottom whole, the sides between them."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, SHORT_SIDE / min(height, width))
    if max(height, width) * scale > LONG_SIDE:
        scale = LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    rows, columns = round(size[1] * BAND), round(size[0] * BAND * 1.5)
    if min(rows, columns) < 8:
        return []
    middle = small[rows:-rows]
    return [
        ("top", small[:rows]),
        ("bottom", small[-rows:]),
        ("left", middle[:, :columns]),
        ("right", middle[:, -columns:]),
    ]
