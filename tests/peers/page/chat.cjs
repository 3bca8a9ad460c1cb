// Opens a room on the live page in a real browser, and exits with 1 unless it reads like a chat: lines come by themselves, and the newest is in sight.
// node chat.cjs ADDRESS ROOM SCREENSHOT, with TOUCHLINE_BROWSER and NODE_PATH set.
const assert = require('node:assert');
const puppeteer = require('puppeteer-core');

const [, , address, room, screenshot] = process.argv;
const PATIENCE = { timeout: 20000 };

async function main() {
  const browser = await puppeteer.launch({ executablePath: process.env.TOUCHLINE_BROWSER, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    const troubles = [];
    page.on('pageerror', (error) => troubles.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
    await page.setViewport({ width: 1440, height: 900 });
    await page.goto(`${address}?match=${encodeURIComponent(room)}`, { waitUntil: 'domcontentloaded', ...PATIENCE });
    await page.waitForFunction(() => document.querySelectorAll('#chat li').length >= 5, PATIENCE);
    const last = () => page.evaluate(() => document.querySelector('#chat').lastChild.textContent);
    const before = await last();
    await page.waitForFunction((before) => document.querySelector('#chat').lastChild.textContent !== before, PATIENCE, before);
    const lines = await page.$$eval('#chat li', (lines) => lines.map((line) => line.textContent));
    assert.ok(lines.every((line) => /^\d\d:\d\d\S* ?\S/.test(line)), lines.join('\n'));
    const seen = await page.evaluate(() => {
      const box = document.querySelector('#chat');
      return box.scrollHeight - box.scrollTop - box.clientHeight;
    });
    assert.ok(seen < 60, `the newest line is ${seen} pixels below what is seen`);
    await page.screenshot({ path: screenshot });
    assert.deepStrictEqual(troubles, []);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
