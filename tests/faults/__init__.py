# SPDX-License-Identifier: Apache-2.0
"""Rounds of the fault bench: processes really die here."""
