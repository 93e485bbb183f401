-- Take a cost from every quota of a request, or from none of them; the same arithmetic as gcra.py.
--
-- KEYS: one for each quota, all in one hash slot. ARGV: the cost, then for each quota its limit in cost units and its
-- interval in microseconds. A key holds the time in microseconds at which all of its quota will be back.
-- Gives 1 or 0 (whether it was taken), then for each quota the microseconds in use and the microseconds to wait.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local cost = tonumber(ARGV[1])
local ends = redis.call('MGET', unpack(KEYS))
local allowed = 1
local answer = {}
local used = {}

for i = 1, #KEYS do
    local limit = tonumber(ARGV[2 * i])
    local interval = tonumber(ARGV[2 * i + 1])
    local burst = limit * interval
    local full = tonumber(ends[i] or now) or now
    -- never further ahead than the burst: a clock that was set back, or a limit that was changed, locks nobody out
    used[i] = math.min(math.max(full - now, 0), burst)
    local missing = math.max(used[i] + math.min(math.max(cost, 1), limit) * interval - burst, 0)
    if missing > 0 then
        allowed = 0
    end
    answer[2 * i + 1] = missing
end

for i = 1, #KEYS do
    if allowed == 1 and cost > 0 then
        used[i] = used[i] + math.min(cost, tonumber(ARGV[2 * i])) * tonumber(ARGV[2 * i + 1])
        redis.call('SET', KEYS[i], string.format('%.0f', now + used[i]), 'PX', math.ceil(used[i] / 1000))
    end
    answer[2 * i] = used[i]
end

answer[1] = allowed
return answer
