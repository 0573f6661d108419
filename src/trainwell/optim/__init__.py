"""How weights move: optimisers and schedules."""
