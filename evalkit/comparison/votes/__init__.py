"""Methods compared by votes: reading them, what is found, and the words for it."""
