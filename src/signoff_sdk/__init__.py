# SPDX-License-Identifier: Apache-2.0
"""What an agent installs: a small client of the public API."""
