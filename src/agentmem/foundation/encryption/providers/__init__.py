"""Key providers: who holds the master keys that wrap every organization's keys."""
