// The page of a small consortium, made up, in which a site has been missing for some rounds: what it says of that, and what it shows of a
// study that ended without a model, by its address, and to a browser that looks once.
//
//   node test/missing.mjs SHOTS
import { accessible, check, fail, once, open } from './browser.mjs';
import { state } from './made-up.mjs';
import { serve } from './serve.mjs';

const ROUNDS = 60;
const shots = process.argv[2] ?? fail('name a folder for screenshots');
setTimeout(() => fail('not done within three minutes'), 180_000).unref();

/** The fourth site is missing from round 11 on: no update, no figure. Study 0 ended without a model; in study 1 it has gone just now. */
function told(asked) {
  const made = state({ institutions: 4, studies: 3, rounds: ROUNDS });
  const { study } = made;
  study.title = 'Sepsis';
  Object.assign(study, { max_rounds: 80, stage: 'running' });
  study.waiting.sites.forEach((site, at) => Object.assign(site, { name: `Hospital ${at}`, ...(at === 3 ? { done: false, words: 'is not asked in this round' } : {}) }));
  study.members.forEach((member, at) => { member.name = `Hospital ${at}`; member.left_out_until = null; });
  Object.assign(study.members[3], { last_round: 10, left_out_until: 63 });
  for (const round of study.rounds) {
    Object.assign(round, { dissenters: [], attesters: [0, 1, 2, 3] });
    if (round.round <= 10) continue;
    round.inputs = round.inputs.slice(0, 3);
    round.losses = round.losses.slice(0, 3);
    round.attesters = [0, 1, 2];
    round.mean = round.losses.reduce((sum, [, loss]) => sum + loss, 0) / 3;
    round.spans = { ...round.spans, grace_ms: 5_000 };
    Object.assign(round, { last: [2], own_training_ms: 0.4 });
  }
  study.rounds[29].attempts = 3;
  study.silence = 'Rounds may not have waited for Hospital 3: where nothing came from a site in two rounds within five, the next five do not wait for it; what it sends in time counts';
  const beside = (kind) => ({ ...study.rounds[0], kind, round: 0, losses: [], mean: null, inputs: kind === 'initial' ? [] : study.rounds[0].inputs });
  study.rounds.unshift(beside('statistics'), beside('initial'));
  const why = 'ended without a model: training stalled, and the agreement ends the study then (rules.on_stall)';
  Object.assign(made.studies[0], { title: 'Delirium', phase: why, stage: 'ended', ours: true });
  Object.assign(made.studies[1], { phase: 'enrolling', stage: 'enrolling', awaits_us: true });
  Object.assign(made.studies[2], { title: 'Sepsis', phase: 'training', stage: 'running', max_rounds: 80 });
  if (asked === 1) {
    const whole = state({ institutions: 4, studies: 3, rounds: 3 }).study;
    Object.assign(whole, { number: 1, title: 'Study of question 1', arms: { source: '/srv/report-1.json', one_machine: false, sites: [{ name: 'Hospital 0', own: true, rows: 'validation', count: 90, alone: 0.45, swarm: 0.3, central: null, difference: -0.15, interval: [-0.25, -0.05], verdict: 'better' }] } });
    whole.members.forEach((member, at) => Object.assign(member, { name: `Hospital ${at}`, left_out_until: null }));
    made.consortium.institutions[3].silent_ms = 90_000;
    return { ...made, study: whole };
  }
  if (asked === 10) {
    // nothing is amiss: a vote alone had not come
    const whole = state({ institutions: 4, studies: 3, rounds: 3 }).study;
    Object.assign(whole, { number: 10, stage: 'completed', waiting: null });
    whole.members.reverse().forEach((member, at) => Object.assign(member, { name: `Hospital ${3 - at}`, left_out_until: null }));
    Object.assign(whole.rounds[2], { attesters: [0, 1, 3], silent: [2] });
    made.consortium.institutions.forEach((it, at) => Object.assign(it, { name: `Hospital ${at}`, silent_ms: 0 }));
    made.egress.sums = made.egress.sums.slice(0, 6).map((sum, at) => ({ ...sum, study: 10, to: `Hospital ${1 + (at % 3)}`, kind: at < 3 ? 'statistics' : 'update', bytes: 1_250 }));
    return { ...made, study: whole };
  }
  if (asked === undefined || asked === 2) return made;
  if (asked === 3) {
    const certificate = { round: 57, root: study.rounds[58].root, statistics: null, held: [0, 1, 2, 3], asked: [0, 1, 2, 3], text: JSON.stringify({ all: study.rounds.slice(0, 30).map((round) => round.root) }, null, 2), commands: [] };
    return { ...made, study: { ...study, number: 3, stage: 'completed', phase: 'completed', round: ROUNDS, max_rounds: ROUNDS, waiting: null, certificate } };
  }
  if (asked > 3) return { ...made, study: null };
  const other = { ...study, number: asked, title: made.studies[asked].title, phase: made.studies[asked].phase, stage: made.studies[asked].stage, waiting: null };
  if (asked === 0) other.trouble = [`it has ${why}`, '  Hospital 3 has NOT committed', 'mend what is named here, then register it anew: consilium study register FILE --dir FOLDER'];
  return { ...made, study: other };
}

const served = await serve(told);
const { browser, page, faults, shot } = await open(shots);
const text = (part) => page.evaluate((part) => document.querySelector(part)?.innerText ?? '', part);
// what charts write beside their lines
await page.addInitScript(() => {
  globalThis.written = [];
  const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function fillText(text, ...rest) { globalThis.written.push(text); return draw.call(this, text, ...rest); };
});
await page.goto(served.url);
await page.waitForSelector('#rounds table tbody tr');

const rounds = await text('#rounds');
check(/Hospital 3 is missing: its last update is in round 10, which closed at .*; 50 rounds have closed without it/.test(rounds), 'who is missing is named, with since when');
check(!rounds.includes('no dissent, no fault and no update missing'), 'and nothing green stands in its place');
check(rounds.includes('60 of at most 80 planned rounds of training') && rounds.includes('the statistics and the initial model were agreed on'), 'rounds are counted without the statistics and the initial model');
check(rounds.includes('1 merge took more than one attempt, 2 attempts more'), 'and attempts apart');
check(rounds.includes('3 of 4, none of Hospital 3'), 'each round says of whom it has no update');
check((await text('#now')).includes('Hospital 3 is missing'), 'the round now names it as well');
const curves = await text('#curves');
check(curves.includes('The best round so far is 57: the chain compares each round with the best before it') && curves.includes('The best round so far, 57, has no update of Hospital 3, and was chosen without a figure of that site'), 'how the best round is chosen is said, and who had no part in it');
check(curves.includes('by rows') && curves.includes('with its update of the next one'), 'means count by rows, and are told a round later');
check(await page.evaluate(() => { const marks = [...document.querySelectorAll('#curves .u-legend .u-series')].map((it) => [it.textContent, getComputedStyle(it.querySelector('.u-marker') ?? it)]); const of = (name) => marks.find(([text]) => text.includes(name))[1]; return of('mean of all').borderTopStyle === 'dashed' && of('mean of all').borderLeftWidth === '0px' && of('mean of fewer').borderRadius === '50%' && of('mean of fewer').borderLeftWidth === '2px'; }), 'the legend draws a dashed line and a ring');
check(rounds.includes('without an update of Hospital 3') && !rounds.includes('some site') && rounds.includes('None had dissent or a dropped update; 50 have no update of Hospital 3') && rounds.includes('consilium late 2 --dir hospital-0'), 'the filter and the sentence agree');
check((await page.evaluate(() => [...document.querySelectorAll('.lineage li')].map((it) => it.value).join())) === '1,2,3,4,5,6,7,8,9' && (await text('.lineage')).includes('rounds 1 to 55, each from the model of the one before'), 'the lineage is numbered without a gap');
check(curves.includes('mean of all 4 sites') && curves.includes('mean of fewer sites') && curves.includes('A ring is the mean of fewer sites'), 'means of fewer sites are apart, and the caption says so');
check(rounds.includes('Rounds may not have waited for Hospital 3: where nothing came from a site in two rounds within five'), 'why rounds after a loss wait for nobody is said beside its name');
check(/It took about [\d.]+ s: training [\d.]+ s \(until the update of Hospital 2, the slowest site, was there\).* Our own worker trained less than 1 ms in it\./.test(rounds), 'whose training it was is said, apart from our own');
const marks60 = await page.evaluate(() => [...document.querySelectorAll('#curves .u-legend .u-label')].map((it) => it.textContent).filter((name) => name.startsWith('Hospital')).join());
check(marks60 === 'Hospital 0 (we),Hospital 1,Hospital 2,Hospital 3', `lines stand in the order of the members: ${marks60}`);
check(curves.includes('A difference between lines is not by itself a finding') && curves.includes('consilium report 2') && curves.includes('where Hospital 3 told none'), 'a difference between lines is not sold as a finding');
const times = await text('#times');
check(/Of median length is round \d+\. It took about/.test(times) && times.includes('it is not how long our own worker trains'), 'parts and total are those of one round');
check(/waiting for sites that are late or silent 5\.0 s, the chain's votes 0\.5 s/.test(times) && times.includes('grace'), 'the wait for who is late is no vote');
const verdict = await page.evaluate(() => document.querySelector('#verdict').textContent);
check(verdict.includes('Not measured yet') && !verdict.includes('Cannot tell') && verdict.includes('does not measure it by itself'), 'what was never measured is not what cannot be told');
for (const command of ['consilium study figures 2 --dir hospital-0', 'consilium report 2 --dir hospital-0 --figures', 'ml-worker pack --dir model-2 --out model-2/ready --data']) check(verdict.includes(command), `the way to compare has ${command}`);
const egress = await text('#egress');
check(/Study 2: .* to 3 institutions, from .* to /.test(egress) && egress.includes('They were our updates. An update is what training') && /All studies together, since .*, when our node's log of it begins/.test(egress), 'each figure of what left says of which studies and since when');
await page.locator('#verdict summary').click();
const now = await text('#now');
check(now.includes("An update is what training on a site's own rows has changed in the common model: numbers, and none of the rows."), 'what an update is is said where it is said to be sent');
check(/at the latest; then .*Sooner, from .* on: once the updates of 33 of 64 sites are in .*the grace/.test(now), 'that it goes on after the grace is said before enough are in');
await page.setViewportSize({ width: 1100, height: 1000 });
check(await page.evaluate(() => { const table = document.querySelector('#egress .scroll'); return table.scrollWidth <= table.clientWidth; }), 'at 1,100 pixels the table of what left needs no bar to scroll it');
await shot('narrow-light');
await page.setViewportSize({ width: 1440, height: 1000 });
check(await page.evaluate(() => { const table = document.querySelector('#egress .scroll'); return table.scrollWidth <= table.clientWidth; }), 'nor at 1,440');
// by the keyboard alone, with a clipboard and without one
await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
const line = page.locator('#verdict .copy').first();
await line.locator('button').focus();
await page.keyboard.press('Enter');
await page.waitForFunction(() => document.querySelector('#verdict .copy .said').textContent === 'copied');
check((await page.evaluate(() => navigator.clipboard.readText())).startsWith('consilium study figures 2'), 'a command is copied by its button');
await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('kept from pages')); document.execCommand = () => false; });
await page.keyboard.press('Enter');
await page.waitForFunction(() => document.querySelector('#verdict .copy .said').textContent.startsWith('selected'));
check((await page.evaluate(() => getSelection().toString())).startsWith('consilium study figures 2'), 'or is selected, where the browser keeps its clipboard');
await accessible(page);
await shot('missing-light');

check(!new URL(page.url()).searchParams.has('study'), 'the newest study needs no name in the address');
await page.selectOption('#study', '1');
await page.waitForFunction(() => document.querySelector('#now h2').textContent === 'Study 1 now');
check(new URL(page.url()).searchParams.get('study') === '1', 'the study that is chosen stands in the address');
check((await text('#rounds')).includes("Hospital 3's node has made no block for 90 s") && (await page.locator('#rounds .tag.good').count()) === 0, 'a node that is away is named, and nothing green stands beside it');
await page.reload();
await page.waitForSelector('#rounds');
check((await text('#now h2')) === 'Study 1 now' && served.asked.at(-1) === 1, 'and is shown again by it');
const measured = await text('#verdict');
check(measured.includes('Better') && measured.includes('From /srv/report-1.json. Each site has measured on its own rows') && !measured.includes('Not measured yet'), "what a report of our own has measured is shown, and said to be each site's own");
await page.waitForFunction(() => globalThis.written.includes('round'));
const marks = await page.evaluate(() => globalThis.written);
check(['1', '2', '3'].every((mark) => marks.includes(mark)) && !marks.includes(''), 'marks along the rounds are whole rounds, and no line stands between them');
await page.goBack();
await page.waitForFunction(() => document.querySelector('#now h2').textContent === 'Study 2 now');
check(true, 'back is the one before');
check((await text('#studies')).includes('ended without a model: training stalled'), 'the list says why a study ended');
check((await text('#studies')).includes('waits for us to enrol'), 'and which one waits for us, for what');
await page.click('#studies a[href="?study=0"]');
await page.waitForFunction(() => document.querySelector('#now h2').textContent === 'Study 0 now');
check((await page.locator('#now .trouble .copy button').count()) === 1, 'a command in what is said stands apart, with a button');
check((await text('#now')).includes('Hospital 3 has NOT committed') && (await text('#model')).includes('training stalled'), 'and its page who had sent nothing');
check(!(await text('#verdict')).includes('study figures'), 'and asks for no comparison with a model that there is not');
await shot('ended-light');
check(!(await text('#now')).includes('left out'), 'nobody is left out of a study that has ended');
await page.goto(`${served.url}?study=3`);
await page.waitForSelector('#verdict');
const ended = await text('#verdict');
check(/swarm's certified model, of round 57, has a log-loss of/.test(ended) && !ended.includes('round 60'), 'after the end the figure is that of the certified model');
check((await text('#model')).includes('The certified round 57 has no update of Hospital 3') && (await text('#curves')).includes('The certified round is 57'), 'and who had no part in it is named');
check((await text('#rounds')).includes('All 60 planned rounds of training closed'), 'rounds are not counted as if more came');
check((await text('#rounds')).includes('Hospital 3 was missing at the end: its last update is in round 10'), 'who was missing at the end is told as past');
check(!(await text('body')).includes('so far'), 'and nothing is so far');
await accessible(page);
await shot('certified-light');
await page.goto(`${served.url}?study=10`);
await page.waitForSelector('#rounds .tag.good');
const whole = await text('#rounds');
check(whole.includes('no dissent, no fault and no update missing in what has closed') && whole.includes('It closed without a vote of Hospital 1 on it, since enough others had said the same. That is no fault, and its update is in it all the same.') && !whole.includes('Had not voted'), 'a vote that had not come contradicts nothing');
const named = (part) => page.evaluate((part) => [...document.querySelectorAll(`${part} .scroll:first-of-type tbody th`)].map((it) => it.textContent.replace(' (we)', '')).filter((name, at, all) => all.indexOf(name) === at).join(), part);
const [sent, all] = [await named('#egress'), await named('#consortium')];
check(sent.startsWith('Hospital 3,Hospital 2,Hospital 1') && all.startsWith('Hospital 3,Hospital 2,Hospital 1,Hospital 0'), `hospitals stand in the order of the members everywhere: ${sent}; ${all}`);
check((await text('#egress')).includes('They were our updates and our statistics. An update is') && (await text('#egress')).includes('Study 10: about 7.5 kB in all'), 'what left is named by what there was, and a sum is about');
check(await page.evaluate(() => [...document.querySelectorAll('td, th')].every((it) => it.cellIndex === 0 || parseFloat(getComputedStyle(it).paddingLeft) >= 9)), 'columns stand apart');
await shot('whole-light');
await page.goto(`${served.url}?study=9`);
await page.waitForFunction(() => document.body.innerText.includes('There is no study 9 on this chain'));
check(true, 'one that there is not is told');
check(faults.length === 0, `no fault in the page${faults.map((fault) => `\n${fault}`).join('')}`);
await browser.close();

// no driver, no wait: what the page is when it has loaded
const loaded = await once('--dump-dom', `${served.url}?study=2`);
check(loaded.includes('Hospital 3 is missing') && loaded.includes('All studies together'), 'a browser that looks once sees all of it');
await once(`--screenshot=${shots}/plain.png`, `${served.url}?study=2`);
served.close();

// a slow node: the page is painted before its state is there
const slow = await serve(told, 6_000);
const again = await open(shots);
const gone = again.page.goto(slow.url);
await again.page.waitForSelector('text=Asking our node', { timeout: 5_500 });
check(true, 'what is not known yet holds nothing up');
await gone;
await again.page.waitForSelector('#rounds');
await again.browser.close();
slow.close();
