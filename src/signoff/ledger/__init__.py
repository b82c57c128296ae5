# SPDX-License-Identifier: Apache-2.0
"""Bytes and proofs: an auditor can read this floor alone, and `signoff verify` needs nothing else."""
