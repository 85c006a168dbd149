"""The machine and the versions that tables were made with.

python -m benchmarks.machine [--out DIR]
"""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.common import Row, Table, parsed, parser, show

PACKAGES = (
    "torch",
    "torchvision",
    "foolbox",
    "torchattacks",
    "adversarial-robustness-toolbox",
    "pyautoattack",
    "secml-torch",
    "adv-lib",
)


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    show([Table("machine", machine(os.getloadavg()[0]))], options.out)


def machine(load_before: float) -> list[Row]:
    """Date, processor, load, versions: what a table of times is worth nothing without."""
    described = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load before and after": f"{load_before:.1f}, {os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }
    if torch.cuda.is_available():
        described["GPU"] = torch.cuda.get_device_name()
    return [{"what": what, "value": value} for what, value in (described | _versions()).items()]


def _processor() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else []
    )
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


if __name__ == "__main__":
    main()
