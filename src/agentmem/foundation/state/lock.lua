-- Take a lock that nobody has, or extend it for who has it. KEYS: the lock. ARGV: the holder's token, the milliseconds
-- that it lasts. Gives 1 if the token has the lock now, else 0.

if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
