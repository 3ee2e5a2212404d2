"""Methods side by side: runs and tables joined by item, compared pair by pair, ranked."""
