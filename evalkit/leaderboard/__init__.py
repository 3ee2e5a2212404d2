"""The leaderboard: entries with per-item scores, their checks, ranks with their uncertainty, and the site."""
