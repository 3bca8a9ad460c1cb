// Opens the page of the auction in a real browser, bids there, and says what it shows, one JSON object a line, until standard input ends.
// node auction.cjs ADDRESS, with TOUCHLINE_BROWSER and NODE_PATH set; each line of standard input is a bid, ["NAME", PRICE].
const puppeteer = require('puppeteer-core');
const readline = require('node:readline');

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

async function main() {
  const browser = await puppeteer.launch({ executablePath: process.env.TOUCHLINE_BROWSER, args: ['--no-sandbox'] });
  const page = await browser.newPage();
  page.on('pageerror', (error) => print({ event: 'trouble', message: String(error) }));
  await page.exposeFunction('tell', (price, bidder, state) => print({ event: 'shows', price, bidder, state }));
  await page.goto(process.argv[2], { waitUntil: 'load' });
  await page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const tell = () => window.tell(text('price'), text('bidder'), text('state'));
    new MutationObserver(tell).observe(document.querySelector('main'), { childList: true, subtree: true, characterData: true });
    tell();
  });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const [name, price] = JSON.parse(line);
    await page.evaluate((name, price) => {
      document.getElementById('name').value = name;
      document.getElementById('amount').value = price;
      document.getElementById('form').requestSubmit();
    }, name, price);
  });
  lines.on('close', async () => {
    await browser.close();
    process.exit(0);
  });
}

main();
