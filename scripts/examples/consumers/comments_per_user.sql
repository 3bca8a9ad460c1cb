-- Who said and gave how much in a room within an hour's file, without what was taken back; :match is the room's id. Without a user:
-- those whom the source does not name, or whose names are not stored.
SELECT user, sum(type <> 'gift') AS comments, sum(type = 'gift') AS gifts, coalesce(sum(amount), 0) AS amount
FROM comments
WHERE match = :match AND type IN ('comment', 'super_chat', 'gift')
    AND id NOT IN (SELECT id FROM comments WHERE match = :match AND type = 'retract')
GROUP BY user
ORDER BY comments DESC, user;
