# SPDX-License-Identifier: Apache-2.0
"""The README's promises, end to end."""
