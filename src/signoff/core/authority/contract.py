# SPDX-License-Identifier: Apache-2.0
"""Load a system's tool contracts from their YAML file (contract, section 2)."""

from signoff.core.authority.description import ToolDescription, schema_digest
from signoff.core.authority.tool import (
    Contract,
    DryRun,
    Effect,
    LookUp,
    OutputTrust,
    Precondition,
    ReadPreview,
    Risk,
    Server,
    ToolContract,
    Undo,
    UndoCheck,
)

__all__ = [
    "Contract",
    "DryRun",
    "Effect",
    "LookUp",
    "OutputTrust",
    "Precondition",
    "ReadPreview",
    "Risk",
    "Server",
    "ToolContract",
    "ToolDescription",
    "Undo",
    "UndoCheck",
    "schema_digest",
]
