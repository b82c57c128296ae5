# SPDX-License-Identifier: Apache-2.0
"""Signoff: who approved this write?"""

__version__ = "0.1.0"
