# SPDX-License-Identifier: Apache-2.0
"""What the use cases need from the outside, said as guarantees."""
