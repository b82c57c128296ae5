# SPDX-License-Identifier: Apache-2.0
"""Use cases: open a transaction, ask the core, touch the world, record."""
