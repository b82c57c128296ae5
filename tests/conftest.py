# SPDX-License-Identifier: Apache-2.0
"""How many examples a property has: some in each run, thousands where it is to be proved (`make prove`)."""

from hypothesis import HealthCheck, settings

settings.register_profile("prove", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
