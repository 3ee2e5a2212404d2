"""Whether metrics mean anything: controls, sensitivity to what should not matter, agreement with the truth."""
