-- The goals of a day, of all matches, with the teams. Of `touchline.db`; :day is a day in UTC, such as 2026-01-02.
SELECT t.at, t.feed, t.match, m.document ->> 'name' AS name, t.minute, t.side,
    CASE WHEN t.score IS NOT NULL THEN (t.score ->> 'home') || '-' || (t.score ->> 'away') END AS score
FROM timeline t LEFT JOIN matches m ON m.feed = t.feed AND m.match = t.match
WHERE t.type = 'goal' AND t.at >= :day AND t.at < date(:day, '+1 day')
ORDER BY t.at, t.seq;
