"""Use what was learnt: the exported detector, AI labels, photo comparison, evidence reports.

Nothing here imports torch. `onnxruntime` is imported when a model is opened and OpenCV when
pixels are compared, so that importing this room stays quick. The functions `compare` and `review`
are imported from their modules, whose names they share.
"""

from damagenet.claims.detector import Detector, Result
from damagenet.claims.heatmaps import Region
from damagenet.claims.labels import Label, read_labels
from damagenet.claims.model import default_model
from damagenet.claims.scoring import predict

__all__ = ["Detector", "Label", "Region", "Result", "default_model", "predict", "read_labels"]
