"""Several jobs from one command: what a sweep is, how its jobs end, how it goes on when stopped."""
