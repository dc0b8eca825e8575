"""The models of "Towards All-in-One Medical Image Re-Identification", trained and evaluated."""
