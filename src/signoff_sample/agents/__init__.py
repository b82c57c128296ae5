# SPDX-License-Identifier: Apache-2.0
"""The sample company's agents: outside processes that reach its systems through Signoff only."""
