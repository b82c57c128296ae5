# SPDX-License-Identifier: Apache-2.0
"""One error: these bytes are not what their format says. It has the three parts of every message of the house."""

from typing import ClassVar


class Refused(Exception):
    """Bytes or values break a format or a proof; `what`, `why` and `fix` never repeat a payload."""

    code: ClassVar[str] = "ledger.refused"
    status: ClassVar[int] = 422

    def __init__(self, what: str, why: str, fix: str, *, path: str = "") -> None:
        super().__init__(f"{what} {why} {fix}")
        self.what, self.why, self.fix, self.path = what, why, fix, path
