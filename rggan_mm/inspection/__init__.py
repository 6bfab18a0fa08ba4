"""What a config would do, found out without training: what it prunes, what its lambda does."""
