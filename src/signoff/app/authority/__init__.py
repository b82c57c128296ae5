# SPDX-License-Identifier: Apache-2.0
"""Who may act: people, agents, policies, halts."""
