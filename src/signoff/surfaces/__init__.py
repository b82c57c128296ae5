# SPDX-License-Identifier: Apache-2.0
"""Parse, call one use case, render; no decisions."""
