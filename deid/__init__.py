"""Makes folders of medical images safe to share, and measures what risk remains."""

__version__ = "0.1.0"
