"""Are the gradients those of the loss?"""
