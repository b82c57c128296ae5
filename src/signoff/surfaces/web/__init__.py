# SPDX-License-Identifier: Apache-2.0
"""Plain read-only pages for people."""
