"""Pictures that several test modules use."""

from __future__ import annotations

import pytest
from hypothesis import settings
from torch import Tensor

from tutorial_lib import images

# No deadlines: a busy machine is no failure.
settings.register_profile("course", deadline=None)
settings.load_profile("course")


@pytest.fixture(scope="session")
def coffee() -> Tensor:
    """A small real photograph, (3, 50, 75), on the 8-bit grid."""
    return images.reduce(images.sample("coffee"), factor=8)


@pytest.fixture(scope="session")
def chelsea() -> Tensor:
    """A real photograph large enough for MS-SSIM, (3, 176, 200), on the 8-bit grid."""
    return images.crop(images.sample("chelsea"), 40, 100, 176, 200)


@pytest.fixture
def kodak3() -> Tensor:
    """Kodak picture 3 at 192x128; the test is skipped where the picture is not on this machine."""
    try:
        local = images.kodak_path(3)
    except images.ImageError as error:
        pytest.skip(str(error))
    if local is None:
        pytest.skip("Kodak picture 3 is not on this machine (name its folder in INR_DATA_DIR)")
    return images.reduce(images.kodak(3), factor=4)
