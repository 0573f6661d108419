"""What is wrong before the training: data, initial state, gradients, learning rate."""
