"""A launchd for Linux: the same plists, verbs, texts and numbers. Standard library only."""
