# SPDX-License-Identifier: Apache-2.0
"""Promises of the ledger: one spelling, proofs that hold, and nothing changed unnoticed."""
