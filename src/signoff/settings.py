# SPDX-License-Identifier: Apache-2.0
"""Settings of a node, from its command line and environment; each is documented in docs/reference/settings.md."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from signoff.app.sweeps import EACH_S
from signoff.core.authority.circuit import Circuits
from signoff.core.authority.quota import Quotas


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a node keeps its data and where it listens."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8470
    installation: str = "signoff.local"
    mirror: Path | None = None  # checkpoints outside the database; DATA/mirror where none is given
    quotas: Quotas = field(default_factory=Quotas)  # of one agent
    sweep_each_s: int = EACH_S  # how often writes without a receipt are looked for; 0 is never
    circuits: Circuits = field(default_factory=Circuits)  # when calls of a tool are broken off
    requires_delegation: bool = False  # agents do only what a person has delegated to them
    failpoint: str = field(default_factory=lambda: os.environ.get("SIGNOFF_FAILPOINT", ""))

    @property
    def database(self) -> Path:
        return self.data / "signoff.db"

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def mirror_directory(self) -> Path:
        return self.mirror or self.data / "mirror"
