"""Text towers the hosts cannot build from the files their releases name."""
