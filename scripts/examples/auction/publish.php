<?php
// The publisher in PHP with curl: php publish.php GATEWAY SECRET_FILE <bid.json. Exits with 1 unless the gateway says ok; the caller keeps the bid then.
[, $gateway, $file] = $argv;
$bid = json_decode(stream_get_contents(STDIN), true);
$request = curl_init("$gateway/pub");
curl_setopt_array($request, [
    CURLOPT_POSTFIELDS => json_encode(['itemId' => $bid['item'], 'channel' => 'bid', 'message' => $bid, 'retain' => true]),
    CURLOPT_HTTPHEADER => [
        'Content-Type: application/json',
        'Authorization: Bearer ' . trim(file($file)[0]),
        "Idempotency-Key: auction-{$bid['item']}-{$bid['number']}",
    ],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 2,
]);
exit(curl_exec($request) === 'ok' ? 0 : 1);
