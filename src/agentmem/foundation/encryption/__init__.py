"""Sealing of content at rest, keyed hashes for search, and the providers that guard the keys."""
