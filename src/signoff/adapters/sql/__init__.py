# SPDX-License-Identifier: Apache-2.0
"""Durable state in a relational database: tables and queries once, the dialect in one file."""
