# SPDX-License-Identifier: Apache-2.0
"""The public HTTP API."""
