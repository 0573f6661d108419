"""One training: recipe, step, loop, state, checkpoint, run folder."""
