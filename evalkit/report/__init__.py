"""What was found as figures and as a page."""
