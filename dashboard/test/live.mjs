// The page beside a running network, from proposal to certificate.
//
//   node test/live.mjs ADDRESS SHOTS
//
// ADDRESS is what `consilium dashboard` printed, of the first site of a `consilium localnet run --keep` that may still be starting.
import { accessible, check, fail, firstPaint, once, open } from './browser.mjs';

const LATE_MS = 1_000;
const [address, shots] = process.argv.slice(2);
if (!shots) fail('give the address of the page, and a folder for screenshots: node test/live.mjs ADDRESS SHOTS');
setTimeout(() => fail('not done within five minutes'), 300_000).unref();

const wrong = new URL(address);
wrong.pathname = `/${'0'.repeat(32)}/`;
check((await fetch(wrong)).status === 404, 'another token is answered by nothing');
check((await fetch(new URL('/', address))).status === 404, 'and so is none');
check((await fetch(address, { method: 'POST' })).status === 405, 'nothing can be sent');
const answer = await fetch(address);
check(answer.headers.get('content-security-policy')?.startsWith("default-src 'none'"), 'the page may load from its own address alone');

const { browser, page, faults, hosts, shot, wire } = await open(shots);
await page.goto(address);
await page.waitForSelector('#todo');
const painted = await firstPaint(page);
console.log(`    first paint after ${painted.toFixed(0)} ms, ${await wire()} bytes`);
check(painted < 1_000, 'it is painted within a second');
check((await wire()) < 300_000, 'and has less than 300 kB');
await shot('1-begin');

// when each block is shown, after the chain's own time of it: how long it took to be made is in this, too
await page.waitForSelector('#block');
await page.evaluate(() => {
  globalThis.late = [];
  const see = () => {
    const at = Number(document.getElementById('block')?.dataset.at);
    if (at && globalThis.late.at(-1)?.at !== at) globalThis.late.push({ at, ms: Date.now() - at });
  };
  new MutationObserver(see).observe(document.querySelector('.pulse'), { subtree: true, childList: true, characterData: true, attributes: true });
});
const body = () => page.evaluate(() => document.body.innerText);
const until = (what, words) => page.waitForFunction((words) => document.body.innerText.includes(words), words, { timeout: 120_000 }).then(() => console.log(`ok  ${what}`), () => fail(`not seen: ${what}`));

await until('the study has been proposed', 'Study 0 now');
await shot('2-proposed');
await page.waitForFunction(() => /Round \d+ of \d+: it waits for/.test(document.body.innerText), undefined, { timeout: 120_000 });
await page.waitForFunction(() => document.querySelectorAll('#rounds tbody tr').length > 6, undefined, { timeout: 120_000 });
check(true, 'rounds are shown as they close');
await page.waitForSelector('#curves canvas');
await shot('3-running');
await until('the certificate stands', 'its model is certified');
await page.waitForFunction(() => document.querySelector('#model pre')?.textContent.includes('consilium_certificate'));
const certificate = JSON.parse(await page.textContent('#model pre'));
check(/^[0-9a-f]{64}$/.test(certificate.model_blake3) && certificate.held_by.length >= 3, `the certificate names the model ${certificate.model_blake3.slice(0, 12)}… and who holds it`);
check((await body()).includes(`consilium audit 0 --agreement ${certificate.agreement}`), 'and the command that checks it');
await page.fill('#round', '7');
await page.waitForFunction(() => document.querySelector('.one')?.textContent.startsWith('Round 7 was attested by'));
const seventh = await page.textContent('.one .lead');
check(['hospital-a', 'hospital-b', 'hospital-c', 'hospital-d'].filter((site) => seventh.includes(site)).length >= 3, seventh);
check(/[\d.]+ kB in all, to 3 institutions/.test(await body()), 'what left the building is counted');
// the report is written after the certificate
await page.waitForFunction(() => document.querySelector('#verdict table') !== null, undefined, { timeout: 60_000 });
check(/^(✓ Better|✗ Worse|Cannot tell)$/.test((await page.textContent('#verdict .lead')).trim()), 'the swarm beside our own model: one of three words');
await shot('4-certified-light');
await accessible(page);
await page.emulateMedia({ colorScheme: 'dark' });
await shot('5-certified-dark');

check((await once('--dump-dom', `${address}?study=0`)).includes('its model is certified'), 'a browser that looks once sees the state, too');

const late = (await page.evaluate(() => globalThis.late.map((one) => one.ms))).sort((a, b) => a - b);
const at = (part) => late[Math.min(late.length - 1, Math.floor(late.length * part))];
console.log(`    ${late.length} blocks; shown after the chain's time of each: median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms, longest ${late.at(-1)} ms`);
check(late.length > 10 && at(0.5) < LATE_MS, 'the page is less than a second behind the chain');
check([...hosts].every((host) => host === new URL(address).host), `no other host was asked: ${[...hosts].join(', ')}`);
check(faults.length === 0, `no fault in the page${faults.map((fault) => `\n${fault}`).join('')}`);
await browser.close();
