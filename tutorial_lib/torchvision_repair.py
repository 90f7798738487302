"""Import torchvision and lpips where torchvision's compiled part does not fit the installed torch.

lpips builds its networks with torchvision. The torchvision that pip installs on Linux is compiled for CUDA;
beside a torch for the CPU its compiled part does not load, so nobody declares its operators, and the import
ends with ``RuntimeError: operator torchvision::nms does not exist``. Networks never call these operators
(they belong to object detection): declaring their signatures is enough to import the rest. This module
declares them, but only after the import has failed in that very way: a torchvision that works stays as it is.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from types import ModuleType

import torch

_MISSING_OPERATOR = "operator torchvision::"
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> ModuleType:
    """The module torchvision, repaired if its import fails for lack of its compiled operators.

    After a repair everything in torchvision works that needs no compiled operator; ``torchvision.ops.nms``
    and the other detection operators raise an error when called.

    Raises:
        ImportError, RuntimeError: whatever the import raises for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error):
            raise
    # The failed import removed torchvision itself, but left those of its submodules that had succeeded.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declare_operators()
    return importlib.import_module("torchvision")


def import_lpips() -> ModuleType:
    """The module lpips (``lpips.LPIPS(net="alex")`` and so on), without warnings that are not the reader's.

    lpips 0.1.4 asks torchvision for its networks by an old argument, and torchvision says so twice whenever
    one is built. The filters set here hide these two messages of torchvision and nothing else.

    Raises:
        ImportError, RuntimeError: lpips or torchvision is missing or broken in a way not known here.
    """
    import_torchvision()
    for message in ("The parameter 'pretrained' is deprecated", "Arguments other than a weight enum"):
        warnings.filterwarnings("ignore", message, UserWarning, r"torchvision\.models\._utils")
    return importlib.import_module("lpips")


def is_repaired() -> bool:
    """Whether torchvision needed the repair in this process."""
    return _declare_operators.cache_info().currsize > 0


@functools.cache  # once per process, and the cache keeps the library alive: its declarations end with it
def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _SIGNATURE)
    return library
