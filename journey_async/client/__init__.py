"""The surface: the verbs of a Journey and the snapshots that they return."""
