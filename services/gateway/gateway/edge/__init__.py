"""The HTTP edge: what every request passes, whatever answers it."""
