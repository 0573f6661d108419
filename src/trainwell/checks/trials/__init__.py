"""Short trainings of replicas: a handful of examples, and a range of learning rates."""
