-- Publishes the messages of one request, all or none: KEYS[1] the request's idempotency key or "", KEYS[2] what is retained, KEYS[3] its
-- order, KEYS[4] its counts. ARGV: how long the key is kept in seconds, messages and bytes that are retained at most, then for each message
-- its channel, its body, and what it is retained as and with, or twice "". Answers 1, or 0 for a request that was accepted before.
if KEYS[1] ~= '' and not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
    return 0
end
for at = 4, #ARGV, 4 do
    local field, kept = ARGV[at + 2], ARGV[at + 3]
    if field ~= '' then
        local before = redis.call('HSTRLEN', KEYS[2], field)
        redis.call('HSET', KEYS[2], field, kept)
        redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[4], 'number', 1), field)
        local bytes = redis.call('HINCRBY', KEYS[4], 'bytes', #kept - before)
        while redis.call('ZCARD', KEYS[3]) > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) do
            local oldest = redis.call('ZPOPMIN', KEYS[3])[1]
            if not oldest then break end
            bytes = redis.call('HINCRBY', KEYS[4], 'bytes', -redis.call('HSTRLEN', KEYS[2], oldest))
            redis.call('HDEL', KEYS[2], oldest)
        end
    end
    redis.call('PUBLISH', ARGV[at], ARGV[at + 1])
end
return 1
