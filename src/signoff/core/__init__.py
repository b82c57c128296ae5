# SPDX-License-Identifier: Apache-2.0
"""The pure floor: values in, values out; no clock, no chance, no input or output."""
