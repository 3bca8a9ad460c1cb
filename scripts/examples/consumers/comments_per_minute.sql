-- What was said in a room in each minute of an hour's file, without what was taken back, and by how many people; :match is the room's id.
SELECT substr(at, 1, 16) AS minute, count(*) AS comments, count(DISTINCT user) AS users
FROM comments
WHERE match = :match AND type IN ('comment', 'super_chat')
    AND id NOT IN (SELECT id FROM comments WHERE match = :match AND type = 'retract')
GROUP BY minute
ORDER BY minute;
