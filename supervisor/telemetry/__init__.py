"""What an instance tells programs that watch it: metrics, traces and events."""
