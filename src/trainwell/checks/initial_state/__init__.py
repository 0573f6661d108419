"""The model, its loss and its optimiser before the first update."""
