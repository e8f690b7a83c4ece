"""What joins journey_async to other libraries: each module wants an extra, and its own import."""
