"""`make demo`: the platform's main job on real input, over its public REST API alone."""
