"""The models of "Towards All-in-One Medical Image Re-Identification", their training and evaluation."""
