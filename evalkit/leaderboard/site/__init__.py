"""The leaderboard's static site."""
