"""The HTTP service: health, metrics, the operators' API and page."""
