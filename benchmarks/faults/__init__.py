# SPDX-License-Identifier: Apache-2.0
"""The fault bench: kill a real node over a real target, start it again, and count what must be zero."""
