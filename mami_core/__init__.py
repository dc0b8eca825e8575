"""The models of "Towards All-in-One Medical Image Re-Identification", trained and evaluated."""

import os

# OpenMP threads that spin while they wait for one another starve whatever else runs on the machine,
# themselves included (on two cores, both in use: ten times the time). Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
