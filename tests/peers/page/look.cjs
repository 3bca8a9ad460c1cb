// Looks at the live page with a real browser, says on standard output what it measured, and exits with 1 at the first thing that is not so.
// node look.cjs ADDRESS GATEWAY_PID FOLDER_OF_SCREENSHOTS, with TOUCHLINE_BROWSER and NODE_PATH set.
const assert = require('node:assert');
const fs = require('node:fs');
const puppeteer = require('puppeteer-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [, , address, pid, folder] = process.argv;
const SIZES = [[1440, 900], [768, 1024], [390, 844]];
const PATIENCE = { timeout: 15000 };
const HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>';
const troubles = [];

async function visit(page, path, sign) {
  await page.goto(address + path, { waitUntil: 'domcontentloaded', ...PATIENCE });
  await page.waitForSelector(sign, { visible: true, ...PATIENCE });
}

// Texts of one row that lie over each other, and boxes that leave the window.
function faults() {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the window by ${document.documentElement.scrollWidth - innerWidth}`);
  const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  for (const parent of document.querySelectorAll('header, .row, .group, #columns, #detail, #search, .market li')) {
    const boxes = [...parent.children].filter((child) => child.getClientRects().length && !child.matches('.hidden')).map((child) => [child, child.getBoundingClientRect()]);
    boxes.forEach(([one, a], place) => boxes.slice(place + 1).forEach(([other, b]) => {
      if (meets(a, b)) found.push(`${one.tagName}#${one.id}.${one.className} lies over ${other.tagName}#${other.id}.${other.className}`);
    }));
  }
  return found.slice(0, 5);
}

async function looks(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png` });
  assert.deepStrictEqual(await page.evaluate(faults), [], name);
}

async function isAccessible(page, name) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => (await window.axe.run()).violations.map((one) => `${one.id}: ${one.nodes[0].html} ${one.nodes[0].failureSummary}`));
  assert.deepStrictEqual(violations, [], name);
}

async function scoresOf(page) {
  return page.evaluate(async () => Object.fromEntries((await (await fetch('/api/matches')).json())
    .filter((line) => line.sport === 'soccer' && line.score && line.score.home !== undefined)
    .map((line) => [`${line.feed}/${line.match}`, `${line.score.home} ${line.score.away}`])));
}

async function showsAGoal(page) {
  await visit(page, '?sport=soccer', '.row');
  const before = await scoresOf(page);
  const until = Date.now() + 20000;
  while (Date.now() < until) {
    const now = await scoresOf(page);
    const key = Object.keys(now).find((one) => before[one] && before[one] !== now[one]);
    if (!key) {
      await new Promise((done) => setTimeout(done, 200));
      continue;
    }
    await page.evaluate((wanted) => document.querySelector(`[data-key="${CSS.escape(wanted)}"]`).scrollIntoView(), key);
    await page.waitForFunction((wanted, old) => {
      const figures = document.querySelector(`[data-key="${CSS.escape(wanted)}"] .figures`).lastChild;
      return [...figures.children].map((one) => one.textContent).join(' ') !== old;
    }, PATIENCE, key, before[key]);
    return;
  }
  assert.fail('no goal in 20 s');
}

async function keepsTheFilter(page) {
  await visit(page, '', '.row');
  await page.select('#sport', 'tennis');
  const isTennis = () => [...document.querySelectorAll('.sport > h2')].every((title) => title.textContent.startsWith('tennis')) && document.querySelector('.row') !== null;
  await page.waitForFunction(isTennis, PATIENCE);
  await page.reload({ waitUntil: 'domcontentloaded' });
  await page.waitForFunction(isTennis, PATIENCE);
  assert.strictEqual(await page.$eval('#sport', (select) => select.value), 'tennis');
}

async function saysHowLongItIsLost(page) {
  await visit(page, '', '.row');
  const lost = page.waitForFunction(() => /^for \d/.test(document.getElementById('state-since').textContent), { polling: 50, ...PATIENCE });
  process.kill(Number(pid), 'SIGKILL');
  await lost;
  await looks(page, 'disconnected');
  await page.waitForFunction(() => document.getElementById('state').dataset.state !== 'lost', { timeout: 30000 });
}

async function namesAreText(browser) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 900 });
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    if (new URL(request.url()).pathname !== '/stream') return request.continue();
    const line = { match: '1', feed: 'f', sport: HOSTILE, competition: HOSTILE, name: HOSTILE, home: HOSTILE, away: HOSTILE, status: 'in_play' };
    const data = JSON.stringify({ type: 'snapshot', id: '1-1', document: { ...line, matches: { 'f/1': line } } });
    return request.respond({ status: 200, contentType: 'text/event-stream', body: `event: snapshot\nid: 1-1\ndata: ${data}\n\n` });
  });
  await visit(page, '?match=f%2F1', '.row');
  await page.waitForFunction((text) => document.getElementById('title').textContent === text, PATIENCE, HOSTILE);
  assert.strictEqual(await page.$eval('.row .teams span', (team) => team.textContent), HOSTILE);
  assert.strictEqual(await page.$$eval('img, body script', (found) => found.length), 0);
  assert.notStrictEqual(await page.title(), 'owned');
  await page.close();
}

async function measure(page) {
  await visit(page, '', '.row');
  const first = await page.metrics();
  await new Promise((done) => setTimeout(done, 5000));
  const last = await page.metrics();
  const share = (last.TaskDuration - first.TaskDuration) / (last.Timestamp - first.Timestamp);
  return { rows: await page.$$eval('.row', (rows) => rows.length), core_percent: Math.round(share * 1000) / 10, heap_mb: Math.round(last.JSHeapUsedSize / 1e5) / 10 };
}

async function main() {
  const browser = await puppeteer.launch({ executablePath: process.env.TOUCHLINE_BROWSER, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => troubles.push(String(error)));
    page.on('console', (said) => said.type() === 'error' && troubles.push(said.text()));
    await visit(page, '?sport=soccer', '.row');
    const match = await page.$eval('.row', (row) => row.dataset.key);
    for (const scheme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      for (const [width, height] of scheme === 'light' ? SIZES : SIZES.slice(0, 1)) {
        await page.setViewport({ width, height });
        for (const [name, path, sign] of [['list', '', '.row'], ['match', `?sport=soccer&match=${encodeURIComponent(match)}`, '.market'], ['pool', '?tab=pool', '#workers tr']]) {
          await visit(page, path, sign);
          await looks(page, `${name}-${width}-${scheme}`);
          if (width === 1440) await isAccessible(page, `${name}, ${scheme}`);
        }
      }
    }
    await showsAGoal(page);
    await keepsTheFilter(page);
    await namesAreText(browser);
    const figures = await measure(page);
    assert.deepStrictEqual(troubles, [], 'errors on the console');
    // From here on the browser itself complains that it cannot connect.
    await saysHowLongItIsLost(page);
    console.log(JSON.stringify(figures));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
