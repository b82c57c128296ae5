# SPDX-License-Identifier: Apache-2.0
"""The sample ERP: vendors, orders, invoices, a journal and payments behind an MCP server of its own."""
