# SPDX-License-Identifier: Apache-2.0
"""The ERP's own errors: a code that a contract can name, and a message for people.

A refusal is raised before anything is written, so each code but `internal` and `key_reused` proves that this call
wrote nothing. `internal` proves nothing, as with any real system.
"""

from typing import Any


class Refusal(Exception):  # it is an answer of the ERP, not a fault of the program
    """The ERP refuses a call; `code` is stable, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message

    def body(self) -> dict[str, Any]:
        """Return the structured content of the error result."""
        return {"error": {"code": self.code, "message": self.message}}
