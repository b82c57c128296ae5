# SPDX-License-Identifier: Apache-2.0
"""What an agent installs, the sample agent and the sample approvers."""
