-- The price of each selection of a match just before each of its goals. Of `touchline.db`, with the hour's file attached as `hour`;
-- :match is the match's id. The file of an hour is complete in itself: it begins with the prices that stood then.
WITH goals AS (
    SELECT seq, at, minute, side FROM timeline
    WHERE match = :match AND type = 'goal'
        AND substr(at, 1, 13) = (SELECT substr(max(at), 1, 13) FROM hour.history)
),
prices AS (
    -- At the same time the match comes first, so a price of that very microsecond is one that the goal made.
    SELECT g.seq AS goal, max(h.seq) AS price
    FROM goals g JOIN hour.history h ON h.match = :match AND h.selection IS NOT NULL AND h.at < g.at
    GROUP BY g.seq, h.market, h.selection
)
SELECT g.at, g.minute, g.side, h.market_name, h.selection_name, h.odds, h.suspended
FROM prices p JOIN goals g ON g.seq = p.goal JOIN hour.history h ON h.seq = p.price
ORDER BY g.at, g.seq, h.market, h.selection;
