# SPDX-License-Identifier: Apache-2.0
"""Peers: other people's engines, installed into an environment of their own and timed there (`make bench PEERS=1`)."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACE = Path("var/peers")
PACKAGES = ("cedarpy==4.12.2", "casbin==1.43.0", "agent-os-kernel==3.7.0", "pyyaml==6.0.3")
SCRIPT = Path(__file__).with_name("peer_timings.py")


@dataclass(frozen=True, slots=True)
class Peers:
    """What the peers took; a figure that is missing has its reason under the same name."""

    figures: dict[str, Any]

    def figure(self, name: str) -> float | None:
        """Return a figure, None if it was not measured."""
        found = self.figures.get(name)
        return float(found) if isinstance(found, int | float) else None

    def why(self, name: str) -> str:
        """Return why a figure is missing, '' if it is there."""
        found = self.figures.get(name, self.figures.get("problem", "not measured"))
        return "" if isinstance(found, int | float) else f"not run: {found}"


def measure() -> Peers:
    """Install the peers where that was not done yet, and time them; whatever fails is told, and stops nothing."""
    uv = Path(".tools/bin/uv")
    command = str(uv) if uv.exists() else "uv"
    python = PLACE / "bin" / "python"
    try:
        if not python.exists():
            PLACE.parent.mkdir(parents=True, exist_ok=True)
            _run(command, "venv", "--quiet", "--python", sys.executable, str(PLACE))
        _run(command, "pip", "install", "--quiet", "--python", str(python), *PACKAGES)
        return Peers(json.loads(_run(str(python), str(SCRIPT))))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return Peers({"problem": said.strip().splitlines()[-1][:200] if said.strip() else type(error).__name__})


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
