# SPDX-License-Identifier: Apache-2.0
"""The four legs of one action: propose, approve, execute, undo."""
