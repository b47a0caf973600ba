// A headless Chromium of this machine, and what is asked of every page that it shows.
import { chromium } from 'playwright-core';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
const PROGRAMS = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);

export const fail = (why) => { console.error(`error: ${why}`); process.exit(1); };
export const check = (holds, what) => { if (!holds) fail(what); console.log(`ok  ${what}`); };

/** Where the browser is. */
export const program = () => process.env.CONSILIUM_CHROMIUM ?? PROGRAMS.find((name) => existsSync(name)) ?? fail('no Chromium here: scripts/setup.sh tests installs one, or name one in CONSILIUM_CHROMIUM');

/** What a browser without a driver prints (`--dump-dom`) or writes (`--screenshot=FILE`) of a page as it has loaded. */
export async function once(what, url) {
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return (await promisify(execFile)(program(), ['--headless', ...sandbox, '--window-size=1400,3000', what, url], { timeout: 30_000, maxBuffer: 1e8 })).stdout;
}

/** Starts the browser, and opens a page on which every fault is noted. */
export async function open(shots) {
  mkdirSync(shots, { recursive: true });
  // root has no sandbox; the pages are our own
  const browser = await chromium.launch({ executablePath: program(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 }, colorScheme: 'light' });
  page.setDefaultTimeout(60_000);
  const faults = [];
  const hosts = new Set();
  const bodies = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()); });
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  page.on('response', (response) => {
    if (!new URL(response.url()).pathname.endsWith('/events')) bodies.push(response.body().then((body) => body.length, () => 0));
  });
  const shot = async (name, full = true) => page.screenshot({ path: `${shots}/${name}.png`, fullPage: full });
  return { browser, page, faults, hosts, shot, wire: async () => (await Promise.all(bodies)).reduce((sum, length) => sum + length, 0) };
}

/** What axe finds against WCAG 2.2 AA, in light and in dark. */
export async function accessible(page) {
  for (const colours of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: colours });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] }));
    const told = violations.map((one) => `${one.id}: ${one.help} (${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' | ')})`);
    check(told.length === 0, `axe finds nothing in ${colours}${told.length > 0 ? `:\n${told.join('\n')}` : ''}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Milliseconds until something was first painted, by the browser. */
export const firstPaint = (page) => page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity);
