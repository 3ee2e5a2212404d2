"""What methods on diffusion models share: the model, the schedule, attention, inversion, tuning."""
