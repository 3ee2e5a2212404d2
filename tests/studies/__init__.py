"""Studies and trainings: run by hand, with figures as their result."""
