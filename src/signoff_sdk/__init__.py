# SPDX-License-Identifier: Apache-2.0
"""What an agent installs: propose actions to Signoff, wait for people, and go on with what became of them."""

from signoff_sdk.client import Client, Run
from signoff_sdk.documents import Action, Refusal
from signoff_sdk.errors import SignoffError, Unreachable

__all__ = ["Action", "Client", "Refusal", "Run", "SignoffError", "Unreachable"]
