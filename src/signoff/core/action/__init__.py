# SPDX-License-Identifier: Apache-2.0
"""The path of one governed action."""
