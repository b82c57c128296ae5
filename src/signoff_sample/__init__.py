# SPDX-License-Identifier: Apache-2.0
"""The sample company: real systems with their own databases, sample agents and documents."""
