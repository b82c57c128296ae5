# SPDX-License-Identifier: Apache-2.0
"""Writes to real systems."""
