"""Hand-written programs with a planted fault, and healthy twins that lack only the fault."""
