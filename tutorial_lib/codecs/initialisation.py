"""Moved to `tutorial_lib.networks.differences` and, what only a file needs, `tutorial_lib.codecs.references`."""

from tutorial_lib.codecs.references import (
    read_reference,
    write_reference,
)
from tutorial_lib.networks.differences import (
    FOLDER,
    MetaConfig,
    SirenFrom,
    load,
    meta_config,
)
