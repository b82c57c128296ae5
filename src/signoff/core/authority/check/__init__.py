# SPDX-License-Identifier: Apache-2.0
"""The checks of a decision, each one sentence of the contract; `policy.py` says in which order they run."""
