"""Planning a study: how many items, images and seeds an effect needs."""
