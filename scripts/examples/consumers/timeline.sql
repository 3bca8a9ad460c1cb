-- What happened in a match, in order, without what was taken back. Of `touchline.db`; :match is the match's id.
SELECT "order", at, minute, type, side,
    CASE WHEN score IS NOT NULL THEN (score ->> 'home') || '-' || (score ->> 'away') END AS score,
    payload
FROM timeline
WHERE match = :match
ORDER BY "order", seq;
