-- Release a lock, if it is still the holder's own. KEYS: the lock. ARGV: the holder's token.
-- Gives 1 if it was released, else 0: its time was over, and another may have it.

if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
