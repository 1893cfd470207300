"""How many threads to use when nobody says."""

import math
import os
from collections.abc import Mapping
from pathlib import Path


def _positive_int(text: str) -> int | None:
    """The leading number of OMP_NUM_THREADS-like settings ("4", "4,2"), or None."""
    try:
        value = int(text.split(",")[0])
    except ValueError:
        return None
    return value if value > 0 else None


def _affinity() -> int:
    """Processors that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def _cpu_quota(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> float:
    """Processors that the container's CPU quota pays for, or infinity."""
    quota: float = math.inf
    try:
        groups = [line.strip().split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        groups = []
    paths = [root, *(root / path.lstrip("/") for _, names, path in groups if names == "")]
    for path in paths:  # version 2
        try:
            limit, period = (path / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if limit != "max":
            quota = min(quota, int(limit) / int(period))
    own = [path.lstrip("/") for _, names, path in groups if "cpu" in names.split(",")]
    paths = [root / "cpu", *(root / "cpu" / path for path in own)]
    for path in paths:  # version 1
        try:
            allowed = int((path / "cpu.cfs_quota_us").read_text())
            per = int((path / "cpu.cfs_period_us").read_text())
        except (OSError, ValueError):
            continue
        if allowed > 0:
            quota = min(quota, allowed / per)
    return quota


def default_num_threads(environ: Mapping[str, str] = os.environ) -> int:
    """NLLKERN_NUM_THREADS, else OMP_NUM_THREADS, else the processors that this process can use."""
    for name in ("NLLKERN_NUM_THREADS", "OMP_NUM_THREADS"):
        value = _positive_int(environ.get(name, ""))
        if value is not None:
            return min(value, 1024)
    return max(1, math.ceil(min(_affinity(), _cpu_quota(), 1024)))
