"""Methods side by side: runs and tables joined by item, tested pair by pair, ranked."""
