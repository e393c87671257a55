"""A short form of `make soak`: some pictures by threads of one pipeline, and by pipelines that are closed meanwhile."""

import os
import threading

from tests.support.paths import ROOT
from tests.support.soak import Soak


def test_every_finished_picture_is_the_one_that_is_drawn_alone() -> None:
    soak = Soak(ROOT / "demo" / "bundle", seed=1)
    soak.threads(0, 4)
    before = threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    soak.threads(4, 7)
    soak.pipelines(12, 4)
    assert soak.wrong == []
    assert min(soak.came[what] for what in ("drawn", "cancelled", "gone on with", "left")) > 0
    after = threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before
